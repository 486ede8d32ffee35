"""Reviews that are handed on go up, never down: whoever asks for it, and whoever stays silent."""

import asyncio

import pytest

from backlane.errors import NotFound
from backlane.service.decide import decide
from backlane.service.escalate import escalate
from backlane.service.read import read_job
from backlane.service.show_review import read_review
from tests.conftest import Place
from tests.story.acts import events_of, verified
from tests.story.asking import asking
from tests.story.test_decisions import answered, asked, time_is_up


@pytest.mark.parametrize("type_name", ["chief", "raised"])
async def test_the_requester_cannot_hand_a_review_down_to_who_decides_less(
    working: Place, type_name: str
) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, root = await working.caller("rita", "reviewer"), await working.caller("root", "admin")
    job, review = await asked(working, ana, type_name, by="admin")
    told = len(await events_of(working, root, job.id))
    async with asking(working) as http:
        refused = await http.post(f"/jobs/{job.id}/escalate", json={"reason": "due today", "to": "reviewer"})
    assert refused.status_code == 422
    [fault] = refused.json()["errors"]
    assert fault == {
        "pointer": "/to",
        "detail": "the review is with the role admin; reviewer is less than that",
    }
    after = await read_review(ports, root, review["id"])
    assert (after["role"], after["escalations"], after["respond_by"]) == ("admin", [], review["respond_by"])
    assert len(await events_of(working, root, job.id)) == told
    # Not in a plain reviewer's sight, so not theirs to decide.
    with pytest.raises(NotFound):
        await decide(ports, rita, review["id"], answered(review))
    # With nobody above an admin, operators are told; the review stays where it is.
    await escalate(ports, ana, job.id, "due today")
    assert (await read_review(ports, root, review["id"]))["role"] == "admin"
    await decide(ports, root, review["id"], answered(review))
    assert (await read_job(ports, ana, job.id))["status"] == "completed"
    verified(working)


async def test_silence_hands_down_nothing_that_a_policy_has_asked_an_admin_about(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, root = await working.caller("rita", "reviewer"), await working.caller("root", "admin")
    job, review = await asked(working, ana, "raised", by="admin")
    assert review["role"] == "admin"
    await time_is_up(working, job)
    for _ in range(500):
        handed = await read_review(ports, root, review["id"])
        if handed["escalations"]:
            break
        await asyncio.sleep(0.01)
    # The chain's next is a reviewer, who decides less: the admin is asked once more.
    assert [one["to_role"] for one in handed["escalations"]] == ["admin"]
    assert handed["role"] == "admin" and handed["respond_by"] > review["respond_by"]
    with pytest.raises(NotFound):
        await decide(ports, rita, review["id"], answered(handed))
    verified(working)

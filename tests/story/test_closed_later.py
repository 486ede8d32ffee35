"""A gate that is closed while a job runs: what comes after is closed, what was told before stays told."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import AwaitingReview, InvalidRequest, NotReleased
from backlane.service.access import Caller
from backlane.service.decide import decide
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acting import approve, done, reject, review_of, waits
from tests.story.action_types import World
from tests.story.acts import script, seen, submitted, verified
from tests.story.commands import command, served
from tests.story.live_acts import events
from tests.story.policed import CREDIT, policed, world
from tests.story.test_changes import SECOND
from tests.story.test_decisions import answered, content

__all__ = ["policed", "world"]  # fixtures
WORDS = "Just words about otters, in no form that anybody asked for. " * 6


async def heard(place: Place, ana: Caller, job: Job, *, closed: bool = False) -> list[dict[str, Any]]:
    """What a live job's requester is told once the first words are written."""
    told: list[dict[str, Any]] = []
    while not any(one["type"] == "output.delta" for one in told):
        told = await events(place, ana, job.id)
    assert any("text" in one["data"] for one in told) is not closed
    return told


async def missed(place: Place, ana: Caller) -> tuple[Job, dict[str, Any]]:
    """A read-only job whose answer misses its model, and its review."""
    script(place, {"text": WORDS})
    job = await submitted(place, ana, "second-look")
    return job, await review_of(place, await waits(place, ana, job, "output"))


async def closed_to_ana(place: Place, ana: Caller, job: Job, why: type[Exception]) -> None:
    """Nothing of what was written is hers to read."""
    view = await read_job(place.service.ports, ana, job.id)
    with pytest.raises(why):
        await content(place, ana, view, "partial")
    [partial] = [row for row in view["artifacts"] if row["kind"] == "partial"]
    assert (partial["bytes"], partial["sha256"]) == (None, None)
    assert "otters" not in json.dumps([view, await events(place, ana, job.id)])


async def test_an_answer_that_missed_its_model_is_closed_until_it_is_decided(working: Place) -> None:
    ana = await working.caller()
    job, review = await missed(working, ana)
    assert job.gate == "none"
    await closed_to_ana(working, ana, job, AwaitingReview)
    await reject(working, review)
    await closed_to_ana(working, ana, job, NotReleased)
    verified(working)


async def test_what_is_no_result_is_released_only_as_what_a_reviewer_made_of_it(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await missed(working, ana)
    with pytest.raises(InvalidRequest) as refused:
        await decide(ports, rita, review["id"], answered(review))
    assert [one["pointer"] for one in refused.value.extra["errors"]] == ["/edits"]
    assert (await read_job(ports, ana, job.id))["review"]["state"] == "pending"
    await decide(ports, rita, review["id"], answered(review, edits=json.loads(SECOND)))
    view = await read_job(ports, ana, job.id)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    assert json.loads(await content(working, ana, view)) == json.loads(SECOND)
    await closed_to_ana(working, ana, job, NotReleased)
    verified(working)


async def test_the_card_says_that_there_is_no_result_and_the_command_that_edits_are_needed(
    working: Place, tmp_path: Path
) -> None:
    ana = await working.caller()
    job, review = await missed(working, ana)
    better = tmp_path / "better.json"
    better.write_text(SECOND)
    async with served(working) as url:
        rita = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await working.key("rita", "reviewer")}
        shown = await command(rita, "review", review["id"])
        assert "no result     it is approved with --edits and the whole new value, or sent back" in shown.out
        refused = await command(rita, "approve", review["id"])
        assert refused.code and "what was written is no result of its type" in refused.err
        edited = await command(rita, "approve", review["id"], "--edits", str(better))
        assert not edited.code, edited
    assert (await read_job(working.service.ports, ana, job.id))["status"] == "completed"


async def test_what_a_live_job_told_before_its_answer_missed_stays_told(working: Place) -> None:
    ana = await working.caller()
    script(working, {"text": WORDS, "running_seconds": 1.5})
    job = await submitted(working, ana, "second-look", live=True)
    before = await heard(working, ana, job)
    await waits(working, ana, job, "output")
    told = await events(working, ana, job.id)
    assert told[: len(before)] == before
    added = [one["data"] for one in told if one["type"] == "artifact.added"]
    assert added and all("sha256" not in one for one in added)


async def test_a_spared_jobs_words_stay_closed_while_its_action_is_asked_about(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    item = {"type": "output_text", "text": WORDS, "annotations": [], "logprobs": []}
    said = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [item]}
    given = json.dumps({**CREDIT, "to": "nobody@example.test"})
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1"}
    call |= {"name": "give_credit", "arguments": given}
    script(policed, {"output": [said, call], "running_seconds": 1.0})
    job = await submitted(policed, ana, "credit-spared", live=True, account="acme")
    assert job.gate == "none"
    # How its draw went is not told before its end, nor what it writes.
    before = await heard(policed, ana, job, closed=True)
    view = await waits(policed, ana, job)
    assert (await events(policed, ana, job.id))[: len(before)] == before
    assert view["actions"][0]["arguments"] is None
    await approve(policed, await review_of(policed, view))
    await seen(policed, ana, job.id, done)
    verified(policed, world.log())


async def test_what_a_live_job_told_before_its_policy_asked_stays_told(policed: Place, world: World) -> None:
    """Its type had no policy when it was submitted: its gate was open until the policy asked for a person."""
    ana, ports = await policed.caller(), policed.service.ports
    text = json.dumps({"summary": "a doubtful thing " * 20, "themes": []})
    script(policed, {"text": text, "running_seconds": 1.5})
    job = await submitted(policed, ana, "policed-note", live=True)

    def opened(tx: Any) -> None:
        tx.mark_job(tx.job(job.id, lock=True), gate="none")

    await ports.store.write(opened)
    before = await heard(policed, ana, job)
    await waits(policed, ana, job, "output")
    assert (await events(policed, ana, job.id))[: len(before)] == before

"""Claims: overriding one takes a reason, and stays on record with whose it was."""

from typing import Any

from backlane.service.claim import claim
from tests.conftest import Place
from tests.story.acts import events_of, verified
from tests.story.asking import asking
from tests.story.policed import audited
from tests.story.test_decisions import asked

WHY = "rob is away, and it is due today"


async def test_deciding_over_a_live_claim_takes_a_reason_and_says_whose_it_was(working: Place) -> None:
    ana, rob = await working.caller(), await working.caller("rob", "reviewer")
    for number, decision in enumerate(("approve", "reject", "request_changes"), 1):
        job, review = await asked(working, ana)
        await claim(working.service.ports, rob, review["id"])
        body: dict[str, Any] = {
            "decision": decision, "payload_hash": review["payload_hash"], "notes": "Shorter.",
        }  # fmt: skip
        path = f"/reviews/{review['id']}/decisions"
        async with asking(working, "rita", "reviewer") as rita:
            held = await rita.post(path, json=body)
            assert (held.status_code, held.json()["code"]) == (409, "claimed")
            for empty in ({}, {"reason": None}, {"reason": " \n"}):
                wrong = await rita.post(path, json={**body, "take_over": True, **empty})
                assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/reason")
            assert (await rita.get(f"/reviews/{review['id']}")).json()["decisions"] == []
            done = await rita.post(path, json={**body, "take_over": True, "reason": WHY})
            assert done.status_code == 201
        told = [one for one in await events_of(working, rob, job.id) if one["type"] == "review.decided"]
        assert [one["data"]["taken_from"] for one in told] == ["rob"]
        lines = await audited(working, "review.decided")
        assert len(lines) == number
        assert '"taken_from":"rob"' in lines[-1]["data"] and WHY in lines[-1]["data"]
    verified(working)


async def test_where_nobody_holds_it_no_reason_is_wanted_and_nothing_is_taken(working: Place) -> None:
    ana = await working.caller()
    job, review = await asked(working, ana)
    async with asking(working, "rita", "reviewer") as rita:
        await rita.post(f"/reviews/{review['id']}/claim")
        body = {"decision": "approve", "payload_hash": review["payload_hash"], "take_over": True}
        assert (await rita.post(f"/reviews/{review['id']}/decisions", json=body)).status_code == 201
    [line] = await audited(working, "review.decided")
    assert "taken_from" not in line["data"]
    assert "taken_from" not in str(await events_of(working, ana, job.id))
    verified(working)


async def test_each_claim_and_each_taking_over_is_a_line_of_the_audit_log(working: Place) -> None:
    ana = await working.caller()
    _, review = await asked(working, ana)
    path = f"/reviews/{review['id']}/claim"
    async with asking(working, "rita", "reviewer") as rita, asking(working, "rob", "reviewer") as rob:
        await rob.post(path)
        assert (await rita.post(path)).status_code == 409
        wrong = await rita.post(path, json={"take_over": True})
        assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/reason")
        assert (await rita.post(path, json={"take_over": True, "reason": WHY})).status_code == 200
    lines = await audited(working, "review.claimed")
    assert [(line["actor"], line["subject"]) for line in lines] == [
        ("rob", review["id"]),
        ("rita", review["id"]),
    ]
    assert "taken_from" not in lines[0]["data"]
    assert '"taken_from":"rob"' in lines[1]["data"] and WHY in lines[1]["data"]
    verified(working)

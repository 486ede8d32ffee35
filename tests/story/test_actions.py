"""Actions: proposed by the model, approved byte by byte by a person, carried out once, told to the model."""

import json

import pytest

from backlane.errors import AlreadyDecided, InvalidRequest, StalePayload
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acting import (
    REFUND,
    acting,
    approve,
    as_seen_by_olga,
    asked_for,
    done,
    proposes,
    reject,
    review_of,
    told,
    waits,
    world,
)
from tests.story.action_types import World
from tests.story.acts import contents, creates, events_of, finished, script, seen, submitted, verified

__all__ = ["acting", "world"]  # fixtures


async def test_an_approved_action_is_carried_out_once_and_its_receipt_goes_back_to_the_model(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    assert world.calls == []
    assert (review["kind"], review["role"], review["separate"]) == ("action", "reviewer", True)
    payload = review["payload"]
    assert payload["arguments"] == {"order": "o-17", "amount": "12.5", "how": "plainly"}
    assert (payload["type"], payload["target"], payload["job"]) == ("issue_refund", "refund", job.id)
    script(acting, {"text": "Your money is on its way."})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["failure"]) == ("completed", None)
    [action] = view["actions"]
    assert (action["state"], action["origin"], action["settled_by"]) == ("succeeded", "model", "receipt")
    assert world.effects() == [(action["key"], "o-17")]
    assert world.calls == [action["key"]]
    [said] = told(acting)
    assert (said["done"], said["receipt"]["id"]) == (True, "re_o-17")
    held = await contents(acting, ana, view)
    assert json.loads(held["record"]) == {
        "system": "payments", "type": "refund", "id": "re_o-17", "url": "https://pay.example.test/o-17",
    }  # fmt: skip
    assert "money" in held["result"]
    assert view["outcome"]["anything_sent"] is True
    assert creates(acting) == 2
    verified(acting, world.log())


async def test_several_actions_are_asked_for_one_after_the_other_in_their_order(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, REFUND, {**REFUND, "order": "o-18"})
    view = await as_seen_by_olga(acting, job)
    assert [(one["state"], one["review"] is None) for one in view["actions"]] == [
        ("proposed", False), ("proposed", True),
    ]  # fmt: skip
    script(acting, {"text": "Both are on their way."})
    await approve(acting, review)
    view = await waits(acting, ana, job)
    assert world.orders() == ["o-17"]
    second = await review_of(acting, view)
    assert second["payload"]["arguments"]["order"] == "o-18" and second["id"] != review["id"]
    await approve(acting, second)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], world.orders()) == ("completed", ["o-17", "o-18"])
    assert [one["receipt"]["id"] for one in told(acting)] == ["re_o-17", "re_o-18"]
    assert creates(acting) == 2
    verified(acting, world.log())


async def test_plain_tools_of_the_same_turn_are_answered_first(acting: Place, world: World) -> None:
    ana = await acting.caller()
    calls = [
        {"name": "issue_refund", "arguments": REFUND},
        {"name": "look_up_order", "arguments": {"order": "o-17"}},
    ]
    script(acting, {"tool_calls": calls})
    job = await submitted(acting, ana, "refund")
    view = await waits(acting, ana, job)
    names = [one["name"] for one in (await as_seen_by_olga(acting, job))["artifacts"]]
    assert names == ["tool-1-2-look_up_order.json"]
    script(acting, {"text": "Done."})
    await approve(acting, await review_of(acting, view))
    view = await seen(acting, ana, job.id, done)
    assert view["status"] == "completed"
    assert [sorted(one) for one in told(acting)] == [
        ["action", "approved_by", "done", "receipt"], ["output", "tool", "untrusted"],
    ]  # fmt: skip
    verified(acting, world.log())


async def test_wrong_arguments_are_told_to_the_model_and_never_proposed(acting: Place, world: World) -> None:
    ana = await acting.caller()
    for wrong in ({"order": "o-17", "amount": "a lot"}, {**REFUND, "approved": True}):
        proposes(acting, wrong)
    proposes(acting, REFUND)
    job = await submitted(acting, ana, "refund")
    view = await waits(acting, ana, job)
    assert [one["state"] for one in view["actions"]] == ["proposed"]
    bodies = [run.body["input"] for run in acting.simulator.world.runs.values()]
    said = [json.loads(body[0]["output"]) for body in bodies[1:]]
    assert ["amount" in one["error"] for one in said] == [True, False]
    assert "approved" in said[1]["error"] and "Nothing was proposed" in said[1]["error"]
    await reject(acting, await review_of(acting, view))
    assert world.calls == []
    verified(acting, world.log())


async def test_a_rejected_action_ends_the_job_and_those_that_were_done_stay_recorded(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, *({**REFUND, "order": f"o-{n}"} for n in (1, 2, 3)))
    await approve(acting, review)
    await reject(acting, await review_of(acting, await waits(acting, ana, job)))
    view = await as_seen_by_olga(acting, job)
    assert (view["status"], view["failure"]["cause"], view["review"]["state"]) == (
        "failed", "review", "rejected",
    )  # fmt: skip
    assert [one["state"] for one in view["actions"]] == ["succeeded", "rejected", "undone"]
    assert (view["outcome"]["anything_sent"], world.orders()) == (True, ["o-1"])
    assert "record" in [one["kind"] for one in view["artifacts"]]
    verified(acting, world.log())


async def test_a_reviewer_edits_the_arguments_and_only_those_are_carried_out(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="pair-refund")
    script(acting, {"text": "Done."})
    rosa = await acting.caller("rosa", "reviewer")
    await approve(acting, review, rosa)
    with pytest.raises(InvalidRequest):
        await approve(acting, review, edits={"order": "o-17", "amount": "-"})
    await approve(acting, review, edits={"order": "o-99", "amount": "3.10"})
    changed = await review_of(acting, await as_seen_by_olga(acting, job))
    assert (changed["version"], changed["state"]) == (2, "pending")
    assert changed["payload"]["arguments"] == {"order": "o-99", "amount": "3.1", "how": "plainly"}
    assert changed["payload_hash"] != review["payload_hash"]
    with pytest.raises(StalePayload):
        await approve(acting, review, await acting.caller("rudi", "reviewer"))
    assert world.calls == []
    await approve(acting, changed, rosa)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], world.orders()) == ("completed", ["o-99"])
    assert view["actions"][0]["arguments"]["order"] == "o-99"
    assert "Done" in (await contents(acting, ana, view))["result"]
    verified(acting, world.log())


async def test_until_the_release_the_requester_sees_nothing_of_an_action_but_that_it_is_there(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    canary = {"order": "canary-8812", "amount": "12.50"}
    job, review = await asked_for(acting, ana, canary)
    script(acting, {"text": "Done."})
    view = await read_job(acting.service.ports, ana, job.id)
    events = await events_of(acting, ana, job.id)
    assert "canary" not in json.dumps([view, events]) and review["payload_hash"] not in json.dumps(
        [view, events]
    )
    [action] = view["actions"]
    assert (action["state"], action["arguments"], action["target"]) == ("proposed", None, None)
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert view["actions"][0]["arguments"]["order"] == "canary-8812"
    assert [one["type"] for one in await events_of(acting, ana, job.id)][-2:] == [
        "job.completed",
        "job.released",
    ]
    verified(acting, world.log())


async def test_a_type_may_end_with_its_last_action_or_have_the_words_after_it_reviewed_too(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="no-more-words", text="I pay it back.")
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], len(view["attempts"])) == ("completed", 1)
    assert (await contents(acting, ana, view)).get("result", "I pay it back.") == "I pay it back."
    job, review = await asked_for(acting, ana, {**REFUND, "order": "o-18"}, type_name="reviewed-text")
    script(acting, {"text": "It is paid back."})
    await approve(acting, review)
    view = await waits(acting, ana, job, "output")
    assert world.orders() == ["o-17", "o-18"]
    await approve(acting, await review_of(acting, view))
    view = await seen(acting, ana, job.id, done)
    assert (await contents(acting, ana, view))["result"] == "It is paid back."
    verified(acting, world.log())


async def test_a_type_proposes_from_its_result_and_without_proposals_it_is_a_draft(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    script(acting, {"text": json.dumps({"orders": ["a", "b"], "words": "both"})})
    job = await submitted(acting, ana, "planned")
    for order in ("a", "b"):
        review = await review_of(acting, await waits(acting, ana, job))
        assert review["payload"]["arguments"]["order"] == order
        await approve(acting, review)
        await seen(acting, ana, job.id, lambda view, order=order: order in world.orders())
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], [one["origin"] for one in view["actions"]]) == ("completed", ["type", "type"])
    assert "both" in (await contents(acting, ana, view))["result"] and creates(acting) == 1
    script(acting, {"text": json.dumps({"orders": [], "words": "none"})})
    draft = await finished(acting, ana, await submitted(acting, ana, "planned"))
    assert (draft["status"], draft["phase"], draft["actions"]) == ("needs_review", "output", [])
    script(acting, {"text": json.dumps({"orders": [], "words": "broken"})})
    broken = await finished(acting, ana, await submitted(acting, ana, "planned"))
    assert (broken["failure"]["code"], broken["failure"]["cause"]) == ("proposals_broke", "internal")
    verified(acting, world.log())


async def test_an_external_effect_that_proposes_nothing_is_reviewed_as_a_draft(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    script(acting, {"text": "There is nothing to pay back."})
    view = await finished(acting, ana, await submitted(acting, ana, "refund"))
    assert (view["status"], view["phase"], view["review"]["kind"]) == ("needs_review", "output", "output")
    verified(acting, world.log())


async def test_a_low_risk_write_acts_too_and_a_blocking_function_runs_in_a_thread(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="tagging", name="add_tag")
    assert review["payload"]["target"] == "the ticket system"
    script(acting, {"text": "Tagged."})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["actions"][0]["receipt"]) == ("completed", "tagged o-17")
    assert "record" not in [one["kind"] for one in view["artifacts"]]
    with pytest.raises(AlreadyDecided):
        await approve(acting, review)
    verified(acting, world.log())


async def test_an_edit_that_brings_back_what_was_shown_is_refused(acting: Place, world: World) -> None:
    ana, rosa = await acting.caller(), await acting.caller("rosa", "reviewer")
    job, review = await asked_for(acting, ana, type_name="pair-refund")
    script(acting, {"text": "Done."})
    await approve(acting, review)
    with pytest.raises(InvalidRequest):
        await approve(acting, review, rosa, edits=REFUND)
    again = await review_of(acting, await as_seen_by_olga(acting, job))
    assert (again["version"], again["payload_hash"]) == (1, review["payload_hash"])
    await approve(acting, review, rosa, edits={**REFUND, "amount": "3"})
    edited = await review_of(acting, await as_seen_by_olga(acting, job))
    for amount in ("12.50", "3.00"):
        with pytest.raises(InvalidRequest):
            await approve(acting, edited, edits={**REFUND, "amount": amount})
    with pytest.raises(StalePayload):
        await approve(acting, review)
    await approve(acting, edited)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], len(world.effects())) == ("completed", 1)
    verified(acting, world.log())

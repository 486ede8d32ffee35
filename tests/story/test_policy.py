"""Policies over actions: an allow acts where it may, a refusal stands above everybody, a changed policy voids."""

import json

import pytest

from backlane.errors import InvalidRequest
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acting import approve, done, reject, review_of, waits
from tests.story.acting import told as told_of
from tests.story.action_types import World
from tests.story.acts import contents, events_of, script, seen, verified
from tests.story.policed import action_of, audited, credited, policed, redeployed, undo_delay_is_over, world
from tests.story.policy_types import looser_limits, only_at_home, policed_app, stricter_limits

__all__ = ["policed", "world"]  # fixtures


async def test_an_allow_approves_a_low_risk_write_and_is_on_record(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana)
    script(policed, {"text": "You have your credit."})
    view = await seen(policed, ana, job.id, done)
    assert (view["status"], view["review"]["id"]) == ("completed", None)
    # Nobody was asked for a review, and the model is told whose approval it was.
    assert view["review"]["state"] == "not_required"
    assert [one["approved_by"] for one in told_of(policed)] == ["a policy"]
    assert "You have your credit." in (await contents(policed, ana, view))["result"]
    assert world.orders() == ["acme/ana@example.test/12.5"]
    action = await action_of(policed, job)
    assert (action["approved_by"], action["policy"]["answer"]) == ("policy", "allow")
    assert action["policy"]["version"] == action["policy_version"] != "1"
    [line] = await audited(policed, "action.allowed")
    data = json.loads(line["data"])
    assert (line["actor"], line["subject"]) == ("policy", action["id"])
    assert (data["version"], data["payload_hash"]) == (action["policy_version"], action["payload_hash"])
    told = [one["actor"] for one in await events_of(policed, ana, job.id) if one["type"] == "action.approved"]
    assert told == ["policy"]
    verified(policed, world.log())


async def test_what_the_policy_leaves_to_a_person_waits_for_one_with_the_reason(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {"amount": "250"})
    review = await review_of(policed, await waits(policed, ana, job))
    assert (review["policy"]["answer"], review["policy"]["reason"]) == ("review", "the amount is over 100")
    assert review["payload"]["policy_version"] == review["policy"]["version"]
    assert world.calls == []
    script(policed, {"text": "Done."})
    await approve(policed, review)
    assert (await seen(policed, ana, job.id, done))["status"] == "completed"
    assert (await action_of(policed, job))["approved_by"] == "rita"
    assert (await read_job(policed.service.ports, ana, job.id))["review"]["state"] == "approved"
    assert [one["approved_by"] for one in told_of(policed)] == ["a person"]
    assert len(world.calls) == 1
    verified(policed, world.log())


@pytest.mark.parametrize("type_name", ["credit", "credit-outside"])
async def test_a_refusal_ends_the_job_and_nobody_is_asked(
    policed: Place, world: World, type_name: str
) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {"amount": "5000"}, {}, type_name=type_name)
    view = await seen(policed, ana, job.id, done)
    failure = view["failure"]
    assert (view["status"], failure["cause"], failure["code"]) == ("failed", "policy", "policy_refused")
    assert [one["state"] for one in view["actions"]] == ["rejected", "undone"]
    assert (world.calls, view["review"]["id"]) == ([], None)
    assert "1000" not in json.dumps(view)
    assert (await action_of(policed, job))["policy"]["reason"] == "the amount is over 1000"
    assert len(await audited(policed, "action.refused")) == 1
    verified(policed, world.log())


async def test_for_an_external_effect_an_allow_replaces_nobody(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-outside")
    review = await review_of(policed, await waits(policed, ana, job))
    assert (review["policy"]["answer"], world.calls) == ("allow", [])
    script(policed, {"text": "Done."})
    await approve(policed, review)
    await seen(policed, ana, job.id, done)
    assert len(world.calls) == 1
    verified(policed, world.log())


async def test_a_policy_may_ask_for_more_people(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-pair")
    review = await review_of(policed, await waits(policed, ana, job))
    assert review["quorum"] == 2
    await approve(policed, review)
    assert (await read_job(policed.service.ports, ana, job.id))["status"] == "needs_review"
    script(policed, {"text": "Done."})
    await approve(policed, review, await policed.caller("rosa", "reviewer"))
    await seen(policed, ana, job.id, done)
    assert len(world.calls) == 1
    verified(policed, world.log())


@pytest.mark.parametrize("kind", ["raises", "exits", "none", "true", "text", "type", "other"])
async def test_whatever_is_no_answer_is_a_review(policed: Place, world: World, kind: str) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {"to": f"{kind}@example.test"}, type_name="credit-broken")
    review = await review_of(policed, await waits(policed, ana, job))
    assert review["policy"]["answer"] == "review"
    assert ("broke" in review["policy"]["reason"]) is (kind in ("raises", "exits"))
    assert "no word" not in json.dumps(review)
    assert world.calls == []
    verified(policed, world.log())


async def test_an_allow_is_not_enough_where_the_job_is_sensitive_or_drawn(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    secret = await credited(policed, ana, sensitive=True)
    await waits(policed, ana, secret)
    drawn = await credited(policed, ana, type_name="credit-drawn")
    await waits(policed, ana, drawn)
    for job in (secret, drawn):
        assert (await action_of(policed, job))["policy"]["answer"] == "allow"
    assert world.calls == []
    verified(policed, world.log())


async def test_what_is_not_drawn_is_left_to_its_policy_and_closed_where_a_person_is_asked(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-spared")
    script(policed, {"text": "You have your credit."})
    view = await seen(policed, ana, job.id, done)
    assert (view["status"], view["review"]["state"]) == ("completed", "sampled_out")
    assert view["actions"][0]["arguments"]["amount"] == "12.5"
    for amount, ended in (("250", "rejected"), ("5000", "policy_refused")):
        job = await credited(policed, ana, {"amount": amount}, type_name="credit-spared")
        if ended == "rejected":
            await reject(policed, await review_of(policed, await waits(policed, ana, job)))
        view = await seen(policed, ana, job.id, done)
        assert (view["failure"]["code"], view["actions"][0]["arguments"]) == (ended, None)
    assert len(world.calls) == 1
    verified(policed, world.log())


async def test_a_policy_that_changed_before_the_dispatch_is_asked_anew(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-later")
    before = await seen(
        policed, ana, job.id, lambda view: view["actions"] and view["actions"][0]["approved_at"]
    )
    assert before["phase"] == "action"
    allowed = await action_of(policed, job)
    policed = await redeployed(policed, policed_app(world, stricter_limits))
    await undo_delay_is_over(policed, job, allowed)
    review = await review_of(policed, await waits(policed, ana, job))
    assert world.calls == []
    assert (review["policy"]["answer"], review["policy"]["reason"]) == ("review", "the amount is over 1")
    assert review["policy"]["version"] != allowed["policy"]["version"]
    verified(policed, world.log())
    await policed.service.drain(grace=5)


async def test_a_persons_approval_under_another_policy_is_void(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {"amount": "250"}, type_name="credit-outside-later")
    review = await review_of(policed, await waits(policed, ana, job))
    await approve(policed, review)
    approved = await action_of(policed, job)
    assert (approved["state"], approved["approved_by"]) == ("approved", "rita")
    policed = await redeployed(policed, policed_app(world, looser_limits))
    await undo_delay_is_over(policed, job, approved)
    second = await review_of(policed, await waits(policed, ana, job))
    assert (second["id"] != review["id"], world.calls) == (True, [])
    assert (await action_of(policed, job))["code"] == "policy_changed"
    verified(policed, world.log())
    await policed.service.drain(grace=5)


async def test_a_rule_of_one_workspace_goes_by_its_name(policed: Place, world: World) -> None:
    policed = await redeployed(policed, policed_app(world, only_at_home))
    for workspace in ("main", "other"):
        ana = await policed.caller("ana", "submitter", workspace)
        job = await credited(policed, ana)
        script(policed, {"text": "Done."})
        view = await seen(policed, ana, job.id, lambda one: done(one) or one["status"] == "needs_review")
        assert view["status"] == {"main": "completed", "other": "needs_review"}[workspace]
    assert len(world.calls) == 1
    verified(policed, world.log())
    await policed.service.drain(grace=5)


async def test_the_same_code_deployed_again_voids_nothing(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, type_name="credit-later")
    await seen(policed, ana, job.id, lambda view: view["actions"] and view["actions"][0]["approved_at"])
    allowed = await action_of(policed, job)
    policed = await redeployed(policed, policed_app(world))
    script(policed, {"text": "Done."})
    await undo_delay_is_over(policed, job, allowed)
    assert (await seen(policed, ana, job.id, done))["status"] == "completed"
    assert len(world.calls) == 1
    verified(policed, world.log())
    await policed.service.drain(grace=5)


async def test_a_reviewers_edit_is_asked_about_too(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await credited(policed, ana, {"amount": "250"}, type_name="credit-outside")
    review = await review_of(policed, await waits(policed, ana, job))
    large = {**review["payload"]["arguments"], "amount": "5000"}
    with pytest.raises(InvalidRequest, match="policy refuses"):
        await approve(policed, review, edits=large)
    script(policed, {"text": "Done."})
    await approve(policed, review, edits={**large, "amount": "300"})
    await seen(policed, ana, job.id, done)
    assert world.orders() == ["acme/ana@example.test/300"]
    verified(policed, world.log())

"""Remote (MCP) tools that ask: their calls are actions too, approved byte by byte, made at most once."""

import json
from dataclasses import replace
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import InvalidRequest, NotAllowed
from backlane.outbound.folder import ArtifactFolder
from backlane.service import control, lanes
from backlane.service.control_actions import allow_actions, resolve_action, stop_actions
from backlane.service.decide import Decided, decide
from backlane.service.revoke import revoke_key
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from tests.conftest import Place
from tests.story.acting import acting, approve, as_seen_by_olga, done, reject, review_of, waits, world
from tests.story.action_types import World
from tests.story.acts import creates, fault, script, seen, submitted, verified

__all__ = ["acting", "world"]  # fixtures
CALL = {"server_label": "crm", "name": "close_ticket", "arguments": {"ticket": 7}}


async def asked(place: Place, *calls: dict[str, Any], **more: Any) -> tuple[Job, dict[str, Any]]:
    """A job whose remote tool asks for approval."""
    ana = await place.caller()
    script(place, {"mcp": list(calls or (CALL,))})
    job = await submitted(place, ana, "remote", **more)
    return job, await review_of(place, await waits(place, ana, job))


def carried(place: Place) -> list[list[dict[str, Any]]]:
    """The approvals that each create carried."""
    bodies = [run.body["input"] for run in place.simulator.world.runs.values()]
    items = [
        [one for one in body if isinstance(one, dict)] if isinstance(body, list) else [] for body in bodies
    ]
    return [[one for one in each if one.get("type") == "mcp_approval_response"] for each in items]


async def test_an_approved_remote_call_is_let_go_with_the_next_run_and_seen_in_it(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked(acting)
    payload = review["payload"]
    assert (payload["origin"], payload["target"], payload["type"]) == ("mcp", "crm", "close_ticket")
    assert payload["arguments"] == {"ticket": 7} and payload["content"].startswith("sha256:")
    with pytest.raises(InvalidRequest):
        await approve(acting, review, edits={"ticket": 8})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    [action] = view["actions"]
    assert (view["status"], action["state"], action["settled_by"]) == ("completed", "succeeded", "provider")
    assert "output" in action["receipt"] and view["outcome"]["anything_sent"] is True
    assert [len(one) for one in carried(acting)] == [0, 1]
    assert carried(acting)[1][0]["approve"] is True
    assert creates(acting) == 2
    verified(acting, [])


async def test_a_rejected_remote_call_is_never_let_go(acting: Place, world: World) -> None:
    job, review = await asked(acting)
    await reject(acting, review)
    view = await as_seen_by_olga(acting, job)
    assert (view["status"], view["actions"][0]["state"], creates(acting)) == ("failed", "rejected", 1)
    assert view["outcome"]["anything_sent"] is False
    verified(acting, [])


@pytest.mark.parametrize("outcome", ["happened", "did_not_happen"])
async def test_a_remote_call_whose_run_fails_is_unknown_and_not_let_go_again(
    acting: Place, world: World, outcome: str
) -> None:
    ana = await acting.caller()
    job, review = await asked(acting)
    fault(acting, "failed", code="server_error")
    await approve(acting, review)
    view = await waits(acting, ana, job, "effect_unknown")
    [action] = view["actions"]
    assert (action["state"], action["code"]) == ("unknown", "not_seen")
    olga = await acting.caller("olga", "operator")
    await resolve_action(acting.service.ports, olga, action["id"], outcome, None)
    view = await seen(acting, ana, job.id, done)
    code = "server_error" if outcome == "happened" else "action_did_not_happen"
    assert (view["status"], view["failure"]["code"]) == ("failed", code)
    assert creates(acting) == 2
    verified(acting, [])


async def test_a_remote_tool_that_reports_an_error_is_asked_about(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked(acting)
    script(acting, {"mcp_error": {"type": "http_error", "code": 502, "message": "Bad gateway"}})
    await approve(acting, review)
    view = await waits(acting, ana, job, "effect_unknown")
    assert view["actions"][0]["code"] == "remote_error"
    olga = await acting.caller("olga", "operator")
    await resolve_action(acting.service.ports, olga, view["actions"][0]["id"], "happened", "I looked")
    view = await seen(acting, ana, job.id, done)
    assert view["status"] == "completed" and "result" in [one["kind"] for one in view["artifacts"]]
    assert creates(acting) == 2
    verified(acting, [])


async def test_a_lost_create_that_carried_an_approval_is_not_run_again(acting: Place, world: World) -> None:
    ana, olga = await acting.caller(), await acting.caller("olga", "operator")
    ports = acting.service.ports
    job, review = await asked(acting)
    fault(acting, "lose_create_reply")
    await approve(acting, review)
    await waits(acting, ana, job, "submission_unknown")
    with pytest.raises(NotAllowed):
        await control.cancel(ports, ana, job.id, None)
    with pytest.raises(NotAllowed):
        await control.resolve(ports, olga, job.id, "run_again")
    await control.resolve(ports, olga, job.id, "give_up")
    view = await waits(acting, ana, job, "effect_unknown")
    await resolve_action(ports, olga, view["actions"][0]["id"], "happened", None)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["failure"]["code"]) == ("failed", "submission_given_up")
    assert (view["outcome"]["anything_sent"], creates(acting)) == (True, 2)
    verified(acting, [])


async def test_a_refused_create_let_nothing_go(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked(acting)
    fault(acting, "status", status=400)
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["failure"]["cause"]) == ("failed", "design")
    assert (await as_seen_by_olga(acting, job))["actions"][0]["state"] == "failed"
    verified(acting, [])


async def test_jobs_that_may_not_act_refuse_remote_calls_as_before(acting: Place, world: World) -> None:
    ana = await acting.caller()
    script(acting, {"mcp": [CALL]})
    view = await seen(acting, ana, (await submitted(acting, ana, "remote-reader")).id, done)
    assert (view["status"], view["actions"]) == ("completed", [])
    assert carried(acting)[1][0]["approve"] is False
    assert "may not act" in json.dumps(carried(acting))
    verified(acting, [])


async def approved_behind_a_held_lane(place: Place, **more: Any) -> tuple[Job, dict[str, Any]]:
    """A job whose remote call is approved and let go, while its lane takes no run that could carry it."""
    olga = await place.caller("olga", "operator")
    job, review = await asked(place, **more)
    await lanes.hold(place.service.ports, olga, "background", None, "a change of accounts")
    await approve(place, review)
    await seen(place, olga, job.id, lambda view: view["actions"][0]["state"] == "dispatching")
    await seen(place, olga, job.id, lambda view: view["phase"] in ("incident", "ready"))
    return job, review


async def leaves(place: Place, name: str) -> None:
    """Every key of this person is revoked."""
    query = "SELECT k.id FROM keys k JOIN principals p ON p.id = k.principal_id WHERE p.name = ?"
    ids = place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql(query, (name,)).scalars().all()
    )
    for one in ids:
        await place.service.store.write(lambda tx, one=one: revoke_key(tx, place.service.ports, one, "adam"))


async def released(place: Place) -> None:
    """The lane takes runs again."""
    await lanes.release(
        place.service.ports, await place.caller("olga", "operator"), "background", None, "done"
    )


async def looked_at(place: Place, job: Job) -> None:
    """A worker took the job up and put it down again."""
    rows = "SELECT lease_no FROM jobs WHERE id = ? AND lease_state = 'free'"

    def times() -> int:
        return place.service.store.database.read_now(
            lambda connection: connection.exec_driver_sql(rows, (job.id,)).scalar() or 0
        )

    before = times()
    await place.service.ports.store.write(lambda tx: tx.wake(job.id, place.service.ports.clock.now()))
    place.service.ports.notify()
    olga = await place.caller("olga", "operator")
    await seen(place, olga, job.id, lambda view: times() > before)


async def test_the_kill_switch_holds_a_remote_call_that_no_run_took_along_yet(
    acting: Place, world: World
) -> None:
    ports, ana = acting.service.ports, await acting.caller()
    olga, adam = await acting.caller("olga", "operator"), await acting.caller("adam", "admin")
    job, _ = await approved_behind_a_held_lane(acting)
    await stop_actions(ports, olga, "something is wrong")
    await released(acting)
    await looked_at(acting, job)
    assert (creates(acting), carried(acting)) == (1, [[]])
    verified(acting, [])
    await allow_actions(ports, adam, "mended")
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], creates(acting), len(carried(acting)[1])) == ("completed", 2, 1)
    verified(acting, [])


@pytest.mark.parametrize("answer", ["approve", "reject", "request_changes"])
async def test_a_remote_call_whose_approver_is_gone_is_asked_about_anew_before_it_is_sent(
    acting: Place, world: World, answer: str
) -> None:
    ports, ana = acting.service.ports, await acting.caller()
    job, review = await approved_behind_a_held_lane(acting)
    await leaves(acting, "rita")
    await released(acting)
    await seen(acting, ana, job.id, lambda view: view["review"]["id"] != review["id"])
    view = await waits(acting, ana, job)
    [action] = (await as_seen_by_olga(acting, job))["actions"]
    assert (action["state"], action["dispatched_at"], creates(acting)) == ("proposed", None, 1)
    assert [one["state"] for one in view["attempts"]] == ["completed", "not_sent"]
    verified(acting, [])
    again = await review_of(acting, view)
    assert again["payload"] == review["payload"]
    rosa = await acting.caller("rosa", "reviewer")
    said = Decided(decision=answer, payload_hash=again["payload_hash"], notes="not this one")
    await decide(ports, rosa, again["id"], said)
    ends = {"approve": "completed", "reject": "failed", "request_changes": "needs_review"}
    view = await seen(acting, ana, job.id, lambda view: view["review"]["id"] != again["id"] or done(view))
    sent = [[one["approve"] for one in each] for each in carried(acting)]
    assert view["status"] == ends[answer]
    assert sent == {"approve": [[], [True]], "reject": [[]], "request_changes": [[], [False]]}[answer]
    verified(acting, [])


async def test_a_remote_call_that_no_run_took_along_in_time_expires_with_its_job(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, _ = await approved_behind_a_held_lane(acting, useful_until=acting.service.ports.clock.now() + 2_000)
    view = await seen(acting, ana, job.id, done)
    await released(acting)
    assert (view["status"], creates(acting), view["outcome"]["anything_sent"]) == ("expired", 1, False)
    assert (await as_seen_by_olga(acting, job))["actions"][0]["state"] == "failed"
    verified(acting, [])


async def test_the_checker_judges_a_remote_call_when_its_run_was_sent(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, _ = await approved_behind_a_held_lane(acting)
    await released(acting)
    await seen(acting, ana, job.id, done)
    folder = ArtifactFolder.from_url(acting.settings.artifacts_url)
    good = collect(acting.service.store.database, folder.read, world_log=[])
    assert check(good).ok
    sent_at = good.attempts[-1]["sent_at"]
    assert good.dispatches[0]["at"] < sent_at
    late = [{**row, "revoked_at": sent_at if row["name"] == "rita" else None} for row in good.keys]
    assert "I12" in {name for name, _ in check(replace(good, keys=late)).violations}
    over = [{**row, "expires_at": sent_at} for row in good.actions]
    assert "I12" in {name for name, _ in check(replace(good, actions=over)).violations}

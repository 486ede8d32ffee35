"""Remote (MCP) tools that ask: their calls are actions too, approved byte by byte, made at most once."""

import json
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import InvalidRequest, NotAllowed
from backlane.service import control
from backlane.service.control_actions import resolve_action
from tests.conftest import Place
from tests.story.acting import acting, approve, as_seen_by_olga, done, reject, review_of, waits, world
from tests.story.action_types import World
from tests.story.acts import creates, fault, script, seen, submitted, verified

__all__ = ["acting", "world"]  # fixtures
CALL = {"server_label": "crm", "name": "close_ticket", "arguments": {"ticket": 7}}


async def asked(place: Place, *calls: dict[str, Any]) -> tuple[Job, dict[str, Any]]:
    """A job whose remote tool asks for approval."""
    ana = await place.caller()
    script(place, {"mcp": list(calls or (CALL,))})
    job = await submitted(place, ana, "remote")
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

"""Actions in trouble: refused, silent, taken back, held; nobody pretends to know, nothing is done twice."""

import asyncio
import json

import pytest

from backlane.errors import NotAllowed
from backlane.service import control
from backlane.service.control_actions import allow_actions, stop_actions, undo_action
from tests.conftest import Place
from tests.story.acting import (
    REFUND,
    acting,
    approve,
    as_seen_by_olga,
    asked_for,
    done,
    waits,
    world,
)
from tests.story.action_types import World
from tests.story.acts import events_of, script, seen, verified

__all__ = ["acting", "world"]  # fixtures


async def test_what_surely_failed_ends_the_job_with_the_actions_own_words(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, {**REFUND, "how": "refused"}, {**REFUND, "order": "o-18"})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["failure"]["cause"], view["failure"]["code"]) == ("tool", "action_failed")
    seen_whole = await as_seen_by_olga(acting, job)
    assert [one["state"] for one in seen_whole["actions"]] == ["failed", "undone"]
    assert seen_whole["actions"][0]["error"] == "the account is closed"
    assert (world.effects(), seen_whole["outcome"]["anything_sent"]) == ([], False)
    verified(acting, world.log())


@pytest.mark.parametrize(
    ("how", "code", "happened"),
    [
        ("hangs-before", "timeout", False),
        ("hangs-after", "timeout", True),
        ("breaks", "RuntimeError", True),
    ],
)
async def test_what_did_not_say_is_looked_up_and_believed_only_after_a_quiet_time(
    acting: Place, world: World, how: str, code: str, happened: bool
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, {**REFUND, "how": how})
    script(acting, {"text": "Done."})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert view["status"] == ("completed" if happened else "failed")
    [action] = (await as_seen_by_olga(acting, job))["actions"]
    assert (action["settled_by"], len(world.calls)) == ("lookup", 1)
    lost = [one for one in await events_of(acting, ana, job.id) if one["type"] == "action.unknown"]
    assert [one["data"]["code"] for one in lost] == [code]
    assert len(world.looked) == (1 if happened else 2)
    assert "hunter2" not in json.dumps(
        await events_of(acting, await acting.caller("olga", "operator"), job.id)
    )
    verified(acting, world.log())


async def test_without_a_lookup_an_operator_is_asked_and_nothing_ends_the_job_meanwhile(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, {**REFUND, "how": "hangs-after"}, type_name="blind")
    await approve(acting, review)
    view = await waits(acting, ana, job, "effect_unknown")
    assert view["waiting_on"] == "an operator, to resolve it"
    with pytest.raises(NotAllowed):
        await control.cancel(acting.service.ports, ana, job.id, None)
    verified(acting, world.log())


async def test_an_undo_delay_lets_an_approved_action_be_taken_back(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="slow-refund")
    await approve(acting, review)
    view = await as_seen_by_olga(acting, job)
    assert (view["status"], view["phase"]) == ("running", "action")
    [action] = view["actions"]
    assert (action["state"], action["allowed"]) == ("approved", ["undo"])
    assert action["dispatch_after"] > action["approved_at"]
    await undo_action(acting.service.ports, ana, action["id"], "wrong order")
    with pytest.raises(NotAllowed):
        await undo_action(acting.service.ports, ana, action["id"], None)
    view = await as_seen_by_olga(acting, job)
    assert (view["status"], view["failure"]["code"], view["outcome"]["anything_sent"]) == (
        "failed", "undone", False,
    )  # fmt: skip
    assert (view["actions"][0]["state"], world.calls) == ("undone", [])
    verified(acting, world.log())


async def test_after_its_undo_delay_it_is_carried_out(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="brief-undo")
    script(acting, {"text": "Done."})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    [action] = view["actions"]
    assert (view["status"], len(world.calls)) == ("completed", 1)
    assert action["dispatched_at"] >= action["dispatch_after"] > action["approved_at"]
    assert view["timing"]["action_seconds"] >= 0.3
    verified(acting, world.log())


async def test_the_kill_switch_holds_approved_actions_until_an_admin_lets_them_go(
    acting: Place, world: World
) -> None:
    ana, olga = await acting.caller(), await acting.caller("olga", "operator")
    ports, adam = acting.service.ports, await acting.caller("adam", "admin")
    job, review = await asked_for(acting, ana)
    script(acting, {"text": "Done."})
    assert (await stop_actions(ports, olga, "something is wrong")).stopped_at is not None
    await approve(acting, review)
    view = await seen(
        acting, ana, job.id, lambda one: one["phase"] == "action" and one["status"] == "running"
    )
    await asyncio.sleep(0.2)
    assert (world.calls, (await as_seen_by_olga(acting, job))["actions"][0]["state"]) == ([], "approved")
    await allow_actions(ports, adam, "mended")
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], len(world.calls)) == ("completed", 1)
    verified(acting, world.log())

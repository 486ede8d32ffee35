"""Calls of actions that live on when their time is over: nobody believes that they did nothing while they may act."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane import ActionFailed, App, Receipt, Request
from backlane.core.job import Job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import REFUND, approve, as_seen_by_olga, asked_for, done, world
from tests.story.action_types import Refund, World, receipt
from tests.story.acts import events_of, script, seen, verified
from tests.story.policed import redeployed
from tests.values import Note

__all__ = ["world"]  # fixture


class Gate:
    """Holds calls until it is opened; says when one has come."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Event(), threading.Event()


def late_app(world: World, gate: Gate) -> App:
    """The type `thread`, whose action blocks, and `stubborn`, whose action does not let itself be stopped."""
    app = App()

    def act(args: Refund, key: str) -> Receipt:
        if args.how == "refused":
            raise ActionFailed("the account is closed")
        if args.how == "breaks":
            raise RuntimeError("the line is dead")
        world.effect(key, args.order)
        return receipt(args.order)

    for name in ("thread", "stubborn"):

        @app.job(name, authority="external_effect")
        def refund(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", input=inputs.text)

        def blocking(args: Refund, *, key: str) -> Receipt:
            """Pay an order back."""
            world.calls.append(key)
            if args.how == "acts-first":
                world.effect(key, args.order)
            gate.entered.set()
            gate.opened.wait(30)
            return receipt(args.order) if args.how == "acts-first" else act(args, key)

        async def stubborn(args: Refund, *, key: str) -> Receipt:
            """Pay an order back."""
            world.calls.append(key)
            gate.entered.set()
            while not gate.opened.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.01)
            return act(args, key)

        chosen: Any = blocking if name == "thread" else stubborn
        chosen.__name__ = "issue_refund"
        action = refund.action(timeout="300ms")(chosen)

        @action.lookup
        async def _(key: str) -> Receipt | None:
            return world.find(key)

    return app


@pytest.fixture
def gate() -> Any:
    """What holds the calls of one story."""
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
async def late(tmp_path: Path, simulator: Running, world: World, gate: Gate) -> AsyncIterator[Place]:
    """A service whose actions outlive their time, and whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=late_app(world, gate), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    gate.opened.set()
    await service.drain(grace=5)


async def held_past_the_quiet_time(place: Place, world: World, kind: str, how: str) -> Job:
    """A job whose call lives on, looked up in vain after the quiet time too (1.6 s)."""
    job, review = await asked_for(place, await place.caller(), {**REFUND, "how": how}, type_name=kind)
    script(place, {"text": "Done."})
    await approve(place, review)
    for _ in range(1000):
        if len(world.looked) >= 3:
            break
        await asyncio.sleep(0.01)
    view = await as_seen_by_olga(place, job)
    assert (view["status"], view["actions"][0]["state"]) == ("running", "unknown")
    return job


@pytest.mark.parametrize("kind", ["thread", "stubborn"])
@pytest.mark.parametrize(
    "end",
    [("plainly", "succeeded", "receipt"), ("refused", "failed", "receipt"), ("breaks", "failed", "lookup")],
)
async def test_a_call_that_lives_on_is_not_believed_to_have_done_nothing(
    late: Place, world: World, gate: Gate, kind: str, end: tuple[str, str, str]
) -> None:
    how, state, by = end
    job = await held_past_the_quiet_time(late, world, kind, how)
    opened_at = late.service.ports.clock.now()
    gate.opened.set()
    view = await seen(late, await late.caller(), job.id, done)
    [action] = (await as_seen_by_olga(late, job))["actions"]
    assert (action["state"], action["settled_by"], len(world.calls)) == (state, by, 1)
    assert view["status"] == ("completed" if state == "succeeded" else "failed")
    assert len(world.effects()) == (how == "plainly")
    assert (action["error"] == "the account is closed") is (how == "refused")
    if by == "lookup":
        # What it sent last may be on its way: a quiet time follows its end as well.
        assert late.service.ports.clock.now() >= opened_at + 1_300
    told = [one["type"] for one in await events_of(late, await late.caller(), job.id)]
    assert [one for one in told if one.startswith("action.")][-2:] == ["action.unknown", f"action.{state}"]
    verified(late, world.log())


async def test_what_a_lookup_finds_settles_it_though_the_call_lives_on(
    late: Place, world: World, gate: Gate
) -> None:
    ana = await late.caller()
    job, review = await asked_for(late, ana, {**REFUND, "how": "acts-first"}, type_name="thread")
    script(late, {"text": "Done."})
    await approve(late, review)
    view = await seen(late, ana, job.id, done)
    assert (view["status"], gate.opened.is_set()) == ("completed", False)
    before = await as_seen_by_olga(late, job)
    assert before["actions"][0]["settled_by"] == "lookup"
    gate.opened.set()
    await asyncio.sleep(0.2)
    after = await as_seen_by_olga(late, job)
    assert (after["actions"][0]["state"], after["progress"]["seq"]) == (
        "succeeded",
        before["progress"]["seq"],
    )
    verified(late, world.log())


async def test_after_a_restart_the_call_is_dead_and_its_lookup_is_believed(
    late: Place, world: World, gate: Gate
) -> None:
    job = await held_past_the_quiet_time(late, world, "thread", "breaks")
    again = await redeployed(late, late_app(world, gate))
    view = await seen(again, await again.caller(), job.id, done)
    assert (view["status"], view["failure"]["code"]) == ("failed", "action_did_not_happen")
    assert (world.effects(), len(world.calls)) == ([], 1)
    verified(again, world.log())
    await again.service.drain(grace=5)

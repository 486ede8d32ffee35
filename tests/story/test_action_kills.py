"""Workers killed around an action: whatever the moment, it takes effect at most once, and nobody pretends to know."""

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.service.control_actions import resolve_action
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story import acting_worker
from tests.story.acting import REFUND, approve, as_seen_by_olga, asked_for, done, proposes, review_of
from tests.story.action_types import World, acting_app
from tests.story.acts import creates, script, seen, submitted, verified
from tests.story.forked import run_worker


@pytest.fixture
async def outside(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service without a worker, beside the worker processes that the test starts."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=acting_app(World(tmp_path)), log=lambda line: None)
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


async def work(place: Place, folder: Path, armed: str = "") -> int:
    """Run a worker process until it is done or dead; its exit code."""
    return await run_worker(acting_worker.main, place, folder, armed)


async def approved(place: Place, folder: Path, kind: str, *refunds: dict[str, Any]) -> Job:
    """A job whose first action is approved, and whose worker is gone."""
    ana = await place.caller()
    proposes(place, *refunds)
    script(place, {"text": "It is done."})
    job = await submitted(place, ana, kind)
    assert await work(place, folder) == 0
    await approve(place, await review_of(place, await as_seen_by_olga(place, job)))
    return job


POINTS = ["dispatching", "dispatched", "action_done"]


@pytest.mark.parametrize("armed", POINTS)
async def test_a_worker_killed_around_the_call_never_makes_it_twice(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    job, world = await approved(outside, tmp_path, "refund", REFUND), World(tmp_path)
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    view = await as_seen_by_olga(outside, job)
    [action] = view["actions"]
    if armed == "dispatching":  # it was never called: the lookup proves it after the quiet period
        assert (view["status"], view["failure"]["code"]) == ("failed", "action_did_not_happen")
        assert (action["state"], action["settled_by"], world.effects()) == ("failed", "lookup", [])
    else:
        by = "lookup" if armed == "dispatched" else "receipt"
        assert (view["status"], action["state"], action["settled_by"]) == ("completed", "succeeded", by)
        assert world.effects() == [(action["key"], "o-17")]
        assert action["receipt"]["id"] == "re_o-17"
    assert outside.simulator.world.stats()["duplicates"] == 0
    verified(outside, World(tmp_path).log())


@pytest.mark.parametrize(("how", "happened"), [("dies-before", False), ("dies-after", True)])
async def test_an_action_that_kills_its_worker_is_looked_up_and_not_called_again(
    outside: Place, tmp_path: Path, how: str, happened: bool
) -> None:
    job, world = await approved(outside, tmp_path, "refund", {**REFUND, "how": how}), World(tmp_path)
    assert await work(outside, tmp_path) == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    view = await as_seen_by_olga(outside, job)
    assert view["status"] == ("completed" if happened else "failed")
    assert len(world.effects()) == int(happened)
    verified(outside, World(tmp_path).log())


@pytest.mark.parametrize("outcome", ["happened", "did_not_happen"])
async def test_without_a_lookup_a_person_says_what_became_of_it(
    outside: Place, tmp_path: Path, outcome: str
) -> None:
    job, world = await approved(outside, tmp_path, "blind", REFUND), World(tmp_path)
    assert await work(outside, tmp_path, "dispatched") == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    view = await as_seen_by_olga(outside, job)
    assert (view["status"], view["phase"], view["review"]["kind"]) == (
        "needs_review", "effect_unknown", "effect_unknown",
    )  # fmt: skip
    assert view["outcome"]["anything_sent"] is True and "cancel" not in view["allowed"]
    [action] = view["actions"]
    assert (action["state"], action["allowed"]) == ("unknown", ["resolve"])
    olga = await outside.caller("olga", "operator")
    await resolve_action(outside.service.ports, olga, action["id"], outcome, "I called the bank")
    assert await work(outside, tmp_path) == 0
    view = await as_seen_by_olga(outside, job)
    expected = "completed" if outcome == "happened" else "failed"
    assert (view["status"], view["actions"][0]["settled_by"]) == (expected, "person")
    assert len(world.effects()) == 1
    verified(outside, World(tmp_path).log())


async def test_killed_between_two_actions_each_takes_effect_once(outside: Place, tmp_path: Path) -> None:
    world = World(tmp_path)
    job = await approved(outside, tmp_path, "refund", REFUND, {**REFUND, "order": "o-18"})
    assert await work(outside, tmp_path, "action_done") == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    await approve(outside, await review_of(outside, await as_seen_by_olga(outside, job)))
    assert await work(outside, tmp_path, "dispatched") == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    view = await as_seen_by_olga(outside, job)
    assert (view["status"], world.orders()) == ("completed", ["o-17", "o-18"])
    assert creates(outside) == 2
    verified(outside, World(tmp_path).log())


async def test_a_worker_that_stood_still_after_the_commit_calls_no_more(
    tmp_path: Path, simulator: Running
) -> None:
    """Its call could take effect after a lookup was believed that found nothing."""
    settings, world = settings_for(tmp_path, simulator), World(tmp_path)
    stood: list[str] = []

    def stands_still(point: str) -> None:
        if point == "dispatching":
            stood.append(point)
            time.sleep(1.2)  # the whole process, for longer than the action may take

    service = build(settings, types=acting_app(world), point=stands_still, log=lambda line: None)
    await service.start_worker()
    place = Place(service, simulator, settings)
    ana = await place.caller()
    job, review = await asked_for(place, ana)
    await approve(place, review)
    view = await seen(place, ana, job.id, done)
    assert (view["status"], view["failure"]["code"]) == ("failed", "action_did_not_happen")
    assert (stood, world.calls, world.effects()) == (["dispatching"], [], [])
    verified(place, world.log())
    await service.drain(grace=5)

"""kill -9 at every named point and at random instants, with work in flight; then the checker goes over it all."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backlane.simulator.faults import read_fault
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.crash.deciders import bother, review
from tests.crash.machine import (
    ACTS,
    DOUBTS,
    DRAFTS,
    FILES,
    HEARD,
    LIVE,
    QUICK,
    ROOT,
    TALK,
    TOOLS,
    WORK,
    Machine,
)
from tests.crash.outside import FileOutside
from tests.world.kinds import world_app

# Every point that the product names, by the work that comes by it: those of one name share a machine.
POINTS: dict[str, tuple[tuple[str, ...], list[tuple[str, str]]]] = {
    "planning": (("submitted", "planned"), WORK),
    "sending": (("sending", "answered"), WORK),
    "ending": (("looked", "artifact", "cancel_sent"), WORK),
    "live": (("streamed", "delta"), LIVE),
    "tools": (("tool_called", "tool_answered", "tools_done"), TOOLS),
    "files": (("upload_stored", "upload_sending", "upload_answered", "file_deleting"), FILES),
    "notices": (("notice_kept", "notice_looked"), WORK[:1]),
    "asking": (("action_asked", "decided"), ACTS),
    "acting": (("dispatching", "dispatched", "action_done"), ACTS),
    "deciding": (("decided",), DRAFTS),
    "doubting": (("looked_up",), DOUBTS),
    "talking": (("steered",), TALK),
    "hearing": (("recovered",), HEARD),
}
HITS_AT_MOST, KILLS_EACH = 3, 12


@pytest.fixture
async def machine(tmp_path: Path, simulator: Running) -> AsyncIterator[Machine]:
    """A machine with nothing on it yet."""
    settings = settings_for(tmp_path, simulator, **QUICK)
    service = build(settings, types=world_app(FileOutside(tmp_path), pace=0.01), log=lambda line: None)
    made = Machine(Place(service, simulator, settings), tmp_path)
    await made.begin()
    reviewing = asyncio.create_task(review(made))
    yield made
    reviewing.cancel()
    await made.end()
    await service.drain(grace=5)


def test_every_point_of_the_product_is_killed_at() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"ports\.point\(\"(\w+)\"\)", source))
    assert named == {point for points, _ in POINTS.values() for point in points}


async def dies(machine: Machine, pid: int) -> bool:
    """Whether an armed process reached its point before it had nothing left to do."""
    idle = 0
    while idle < 10:
        if await machine.ended(pid):
            return True
        await asyncio.sleep(0.02)
        idle = idle + 1 if machine.unfinished() == 0 and machine.settled_asking() else 0
    return False


async def killed_at(machine: Machine, point: str, work: list[tuple[str, str]]) -> None:
    """Kill a service at the first, second, third … hit of a point, and let another end what it left."""
    for nth in range(1, HITS_AT_MOST + 1):
        machine.give(work)
        if point == "recovered":
            # The run is to be lost with the stream of a worker that held it.
            assert await dies(machine, await machine.fork("delta:2"))
        pid = await machine.fork(f"{point}:{nth}")
        if not await dies(machine, pid):
            # A clean pass: this work has no nth hit of the point.
            await machine.kill(pid, "idle")
            break
        machine.note_kill(point)
        await machine.settle()
    assert machine.kills[point] >= 1, f"{point} is never reached"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("about", POINTS)
async def test_a_service_killed_at_each_point_loses_nothing(machine: Machine, about: str) -> None:
    points, work = POINTS[about]
    machine.torn = about == "deciding"
    if about == "notices":
        machine.hear()
    for point in points:
        if point == "notice_looked":
            # Told of before the create's reply is there: nobody knows the run yet.
            slow = {"fault": "slow", "call": "create", "when": "after", "seconds": 0.3}
            for fault in ({"fault": "early_webhook"}, slow):
                machine.place.simulator.world.weather.add(read_fault({**fault, "times": None}))
        await killed_at(machine, point, work)
    machine.verified()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", range(1, 7))
async def test_a_service_killed_at_random_instants_loses_nothing(machine: Machine, seed: int) -> None:
    chance = random.Random(seed)
    machine.torn = True
    if seed % 2 == 0:
        machine.hear()
    bothering = asyncio.create_task(bother(machine, seed))
    while machine.in_flight < KILLS_EACH:
        if machine.open_jobs() < 6:
            machine.give(chance.sample([*WORK, *LIVE, *TOOLS, *FILES, *ACTS, *DRAFTS, *DOUBTS, *TALK], 4))
        pid = await machine.fork()
        await asyncio.sleep(chance.uniform(0.05, 1.0))
        await machine.kill(pid, "random")
    await machine.settle()
    bothering.cancel()
    assert any(name.endswith(" 200") for name in machine.bothered), machine.bothered
    machine.verified()

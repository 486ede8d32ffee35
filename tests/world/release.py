"""The next release of the job types comes out, process by process; now and then it is taken back."""

import asyncio
import random
from typing import TYPE_CHECKING

from tests.world.kinds import world_app
from tests.world.outside import Nearby

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

RELEASES = tuple(world_app(Nearby(), release=number) for number in range(2))


async def deploy(world: "SimulatedWorld", chance: random.Random) -> None:
    """In the storm each process ends in its turn, without a warning, and comes back with the new one."""
    for release in (1, 0) if chance.random() < 0.4 else (1,):
        await asyncio.sleep(chance.uniform(0.1, 0.5) * world.weather.storm)
        if not world.storming:
            return
        world.release = release
        for name in list(world.processes):
            await asyncio.sleep(chance.uniform(1, 90))
            process = world.processes[name]
            if world.storming and process.alive and process.release != release:
                world.counts["deployed"] += 1
                world.demon.strike(process)


def finish(world: "SimulatedWorld") -> None:
    """The storm is over: whoever still has the other release comes back with this one."""
    for name, process in list(world.processes.items()):
        if process.alive and process.release != world.release:
            process.crash()
            world.start(name, worker=process.worker)

"""What befalls the machine: crashes, stops, outages, clock jumps and power cuts, as the seed draws them."""

import asyncio
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.world.process import Process

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld


class Demon:
    """Crashes, stops, outages, clock jumps and power cuts, as the seed draws them."""

    def __init__(self, world: "SimulatedWorld", chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        # Of its own, so that it changes no other draw.
        self._own = random.Random(f"{world.seed}:vanishing")

    async def live(self) -> None:
        """Until the storm is over."""
        weather = self._world.weather
        acts: list[tuple[float | None, Callable[[], None]]] = [
            (weather.crash_every, self._crash),
            (weather.stop_every, self._stop),
            (weather.jump_every, self._jump),
            (weather.power_cut_every, self._cut),
            (weather.outage_every, self._outage),
        ]
        doings = [self._act(every, act, self._chance) for every, act in acts if every is not None]
        if weather.vanish_every is not None:
            doings.append(self._act(weather.vanish_every, self._vanish, self._own))
        await asyncio.gather(*doings)

    async def _act(self, every: float, act: Callable[[], None], chance: random.Random) -> None:
        while True:
            await asyncio.sleep(chance.expovariate(1 / every))
            if not self._world.storming:
                return
            await self._world.loop.turn(act.__name__)
            self._world.counts[act.__name__.strip("_")] += 1
            act()

    def _crash(self) -> None:
        alive = [name for name, process in self._world.processes.items() if process.alive]
        if alive:
            name = self._chance.choice(alive)
            self._world.processes[name].crash()
            self._again(name)

    def strike(self, process: Process) -> None:
        """This process ends here and now, and is started again after a while."""
        name = next(name for name, one in self._world.processes.items() if one is process)
        self._world.counts["crash"] += 1
        process.crash()
        self._again(name)

    def _again(self, name: str) -> None:
        """It is started again after a while."""
        world, worker = self._world, self._world.processes[name].worker

        def start() -> None:
            if not world.processes[name].alive:
                world.start(name, worker=worker)

        world.loop.call_later(self._chance.uniform(0.5, 60), start)

    def _stop(self) -> None:
        process = self._world.somebody(self._chance)
        if process is not None:
            process.stopped_until = self._world.loop.time() + self._chance.uniform(5, 300)

    def _jump(self) -> None:
        self._world.jump(self._chance.choice([-1, 1]) * self._chance.randint(1_000, 600_000))

    def _cut(self) -> None:
        self._world.cut_power(self._chance)
        for name in self._world.processes:
            self._again(name)

    def _vanish(self) -> None:
        """Somebody deletes a file at the provider by hand."""
        alive = [file for file in self._world.provider.world.files if not file.deleted]
        if alive:
            file = self._own.choice(alive)
            file.deleted = True
            self._world.witness.vanished.append(file.id)

    def _outage(self) -> None:
        self._world.outage_until = self._world.loop.time() + self._chance.uniform(5, 120)

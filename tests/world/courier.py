"""The way of the provider's events to our door: through a network that loses some, to a process that may die."""

import asyncio
import random
from typing import TYPE_CHECKING

from backlane.errors import BacklaneError
from backlane.service import hints
from tests.world.process import Process, ProcessDied

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_PATIENCE = 5.0  # how long the provider waits for an answer, seconds
_PEEP = 5.0


class Courier:
    """Brings what is due, in the world's time, to one of the processes that answer."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world
        self._chance = random.Random(f"{world.seed}:courier")

    async def live(self) -> None:
        """Until everything is settled."""
        webhooks = self._world.provider.world.webhooks
        while not self._world.settled:
            now, due = self._world.provider.now(), webhooks.next_due()
            await asyncio.sleep(_PEEP if due is None else min(_PEEP, max(0.01, due - now)))
            self._world.provider.now()
            await webhooks.deliver_due()

    async def deliver(self, url: str, headers: dict[str, str], body: bytes) -> int | None:
        """One delivery; the status it was answered with, None without an answer."""
        world = self._world
        if self._chance.random() < world.weather_now("door_down"):
            return self._chance.choice([None, 503])
        await asyncio.sleep(self._chance.uniform(0.005, 0.3))
        process = world.somebody(self._chance)
        if process is None:
            return None
        world.counts["webhooks"] += 1
        try:
            async with asyncio.timeout(_PATIENCE):
                return await process.ask(_taken(process, headers, body))
        except (ProcessDied, TimeoutError):
            return None


async def _taken(process: Process, headers: dict[str, str], body: bytes) -> int:
    """What the door answers."""
    found = process.door.notices(body, headers, process.ports.clock.now())
    if not found:
        return 400
    try:
        await hints.keep_notices(process.ports, found)
    except BacklaneError:
        return 503
    return 204

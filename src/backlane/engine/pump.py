"""The one loop of every worker process: room, claim, dispatch, sleep until something is due or somebody wakes it."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence

from backlane.core.engine import Core, Engine
from backlane.core.ports import Clock, Due
from backlane.errors import BacklaneError

# Another process may have made a job due without telling us: look at least this often.
IDLE_AT_MOST = 1_000
# Between two turns, milliseconds.
BREATH = 10


class Pump:
    """Feeds an engine from the core until it is told to stop."""

    def __init__(
        self,
        core: Core,
        engine: Engine,
        clock: Clock,
        *,
        slots: int,
        log: Callable[[str], None],
        idle_at_most: int = IDLE_AT_MOST,
    ) -> None:
        self._core = core
        self._engine = engine
        self._clock = clock
        self._slots = slots
        self._log = log
        self._idle_at_most = idle_at_most
        self._woken = asyncio.Event()
        self.stopping = False

    def wake(self) -> None:
        """Look for due jobs now. Only from the loop's own thread."""
        self._woken.set()

    def stop(self) -> None:
        """Claim no more."""
        self.stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Pump until `stop`."""
        await self._engine.serve(self._core.advance, self._slots)
        while not self.stopping:
            self._woken.clear()
            try:
                pause = await self._turn()
            except BacklaneError as error:
                # A store that does not answer is not a reason to give up the jobs: try again.
                self._log(f"the worker waits: {error}")
                pause = self._idle_at_most
            if not self.stopping:
                await self._sleep(pause)

    async def _turn(self) -> int:
        """Claim and dispatch what is due; milliseconds until there may be more, at most a second."""
        room = await self._engine.room()
        due = await self._core.next_due() if room > 0 else None
        if due is None:
            return self._idle_at_most
        wait = due - self._clock.now()
        if wait > 0:
            return min(self._idle_at_most, wait)
        batch: Sequence[Due] = await self._core.claim(room)
        if batch:
            await self._engine.dispatch(batch, self._idle_at_most / 1000)
            return BREATH
        if room < self._slots:
            # It is due and was not claimed: it waits for what is under way, whose end will wake us.
            return self._idle_at_most
        # Due and not claimed although nothing is under way: another worker has it, or a suspect waits.
        return min(self._idle_at_most, 50)

    async def _sleep(self, milliseconds: int) -> None:
        # Wake-ups come in swarms, one for each job that moved: a breath lets one turn serve them all.
        await self._clock.sleep(min(BREATH, milliseconds))
        if milliseconds > BREATH:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout((milliseconds - BREATH) / 1000):
                    await self._woken.wait()

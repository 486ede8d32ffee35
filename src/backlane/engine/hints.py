"""The loop beside the pump: works off the provider's signed events as they come, and whatever waits for its time."""

import asyncio
import contextlib
from collections.abc import Callable

from backlane.core.ports import Clock
from backlane.errors import BacklaneError
from backlane.service.hints import Inbox

# Another process may have stored an event without telling us: look at least this often, milliseconds.
IDLE_AT_MOST = 1_000


class HintLoop:
    """Runs an inbox until it is told to stop."""

    def __init__(
        self,
        inbox: Inbox,
        clock: Clock,
        *,
        log: Callable[[str], None],
        idle_at_most: int = IDLE_AT_MOST,
    ) -> None:
        self.inbox = inbox
        self._idle_at_most = idle_at_most
        self._clock = clock
        self._log = log
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look for events now. Only from the loop's own thread."""
        self._woken.set()

    def stop(self) -> None:
        """Take up no more."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Work until `stop`."""
        while not self._stopping:
            self._woken.clear()
            pause = self._idle_at_most
            try:
                due = await self.inbox.work_off()
                if due is not None:
                    pause = min(pause, max(due - self._clock.now(), 10))
            except BacklaneError as error:
                self._log(f"webhook events wait: {error}")
            if not self._stopping:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause / 1000):
                        await self._woken.wait()

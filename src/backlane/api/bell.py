"""Waiting for news or for a while, cheaply enough for thousands who are rung at once.

A timer is kept over many waits: one that rings too early costs its follower a glance, a new one for each
piece of news would cost all of them more than the news itself.
"""

import asyncio


class Bell:
    """One follower's. Rung between two waits, it ends the next one at once: no news is missed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rung = False

    def ring(self) -> None:
        """There is news."""
        self._rung = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def heard(self, seconds: float) -> None:
        """Wait until it has been rung since the last wait began to be over, at most so long, perhaps less."""
        if not self._rung:
            self._arm(seconds)
            self._waiting = self._loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        self._rung = False

    def put_away(self) -> None:
        """Nobody waits any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self, seconds: float) -> None:
        at = self._loop.time() + seconds
        if self._timer is not None and self._timer.when() > at:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self.ring()

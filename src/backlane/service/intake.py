"""Reading a stream beside the work on it: a slow database slows the reading, and nothing piles up between."""

import asyncio
from types import TracebackType

from backlane.core.ports import Clock
from backlane.core.stream import Break, Broken, Events, StreamEvent

_WAITING_AT_MOST = 8


class Intake:
    """A stream's events, to be waited for with a time limit. Use it as an async context manager."""

    def __init__(self, events: Events, let_go: asyncio.Event, clock: Clock) -> None:
        self._events = events
        self._let_go = let_go
        self._clock = clock
        self._queue: asyncio.Queue[StreamEvent] = asyncio.Queue(_WAITING_AT_MOST)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Intake":
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._stop())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._events.aclose()

    @property
    def must_end(self) -> bool:
        """Whether this reader must let go."""
        return self._let_go.is_set()

    async def next(self, until: int) -> StreamEvent | None:
        """The next event; None once the clock says `until`, or this reader must let go."""
        if self.must_end:
            return None
        if not self._queue.empty():
            return self._queue.get_nowait()
        pause = max(0, until - self._clock.now())
        getting = asyncio.create_task(self._queue.get())
        sleeping = asyncio.create_task(self._clock.sleep(pause))
        try:
            await asyncio.wait({getting, sleeping, self._tasks[1]}, return_when=asyncio.FIRST_COMPLETED)
            return getting.result() if getting.done() else None
        finally:
            getting.cancel()
            sleeping.cancel()

    async def _read(self) -> None:
        try:
            async for event in self._events:
                await self._queue.put(event)
        except Exception as error:
            await self._queue.put(Broken(Break.GARBLED, f"it cannot be read: {type(error).__name__}"))

    async def _stop(self) -> None:
        await self._let_go.wait()

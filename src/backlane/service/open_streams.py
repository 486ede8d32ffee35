"""The live streams of this worker: how many it reads at once, which wait to be read, who must let go."""

import asyncio
import contextlib
from collections.abc import Generator

from backlane.core.stream import Events


class OpenStreams:
    """At most `at_most` streams; the rest of the worker's room stays free for other jobs."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._waiting: dict[str, Events] = {}
        self._reading: dict[asyncio.Event, str] = {}
        # Readers whose runs would be lost with their streams: a drain lets them read on for a while.
        self._staying: set[asyncio.Event] = set()
        self._left = asyncio.Event()
        self.draining = False

    def has_room(self, attempt_id: str) -> bool:
        """Whether this attempt's stream can be read now."""
        return attempt_id in self._waiting or len(self._waiting) + len(self._reading) < self._at_most

    def holds(self, attempt_id: str) -> bool:
        """Whether this attempt's stream waits here to be read."""
        return attempt_id in self._waiting

    def listening(self) -> set[str]:
        """The jobs whose streams are read."""
        return set(self._reading.values())

    def put(self, attempt_id: str, events: Events) -> None:
        """A stream that was opened with its create; whoever follows the attempt takes it."""
        self._waiting[attempt_id] = events

    def take(self, attempt_id: str) -> Events | None:
        """The stream that waits for this attempt, if one does."""
        return self._waiting.pop(attempt_id, None)

    async def drop(self, attempt_id: str) -> None:
        """Nobody here follows this attempt: let go of its stream."""
        events = self.take(attempt_id)
        if events is not None:
            await events.aclose()

    @contextlib.contextmanager
    def reading(self, job_id: str, *, stays: bool = False) -> Generator[asyncio.Event]:
        """While the block runs, a stream of this job is read; the event is set when it must let go.

        One that `stays` is let go of last in a drain.
        """
        let_go = asyncio.Event()
        self._reading[let_go] = job_id
        if stays:
            self._staying.add(let_go)
        elif self.draining:
            let_go.set()
        try:
            yield let_go
        finally:
            del self._reading[let_go]
            self._staying.discard(let_go)
            if not self._staying:
                self._left.set()

    def let_go(self, job_id: str) -> None:
        """Somebody else carries this job now."""
        for event, reading in self._reading.items():
            if reading == job_id:
                event.set()

    def drain(self) -> None:
        """Let go, from now on at once, of everything that somebody else can take up."""
        self.draining = True
        for event in self._reading.keys() - self._staying:
            event.set()

    async def stayed(self, seconds: float) -> None:
        """Wait for the streams that nobody else can take up, then let go of them too."""
        self._left.clear()
        if self._staying:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._left.wait()
        for event in self._reading:
            event.set()

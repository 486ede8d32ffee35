"""One thread, virtual time: who runs next is drawn from the seed, and time passes only when nobody can run."""

import asyncio
import hashlib
import random
import selectors
from collections.abc import Callable
from typing import Any


class Stuck(Exception):
    """Nothing can run and no timer is set: the world would wait for ever."""


class _NoFiles(selectors.BaseSelector):
    """The loop's selector: instead of waiting for files it gives out turns, or lets time pass."""

    def __init__(self, quiescent: Callable[[float | None], None]) -> None:
        self._keys: dict[Any, selectors.SelectorKey] = {}
        self._quiescent = quiescent

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(fileobj, 0, events, data)
        self._keys[fileobj] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._keys.pop(fileobj)

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._quiescent(timeout)
        return []

    def get_map(self) -> dict[Any, selectors.SelectorKey]:
        return self._keys


class Turns(asyncio.SelectorEventLoop):
    """An event loop whose order is the seed's: everybody who reached a port call waits here for a turn."""

    def __init__(self, seed: str) -> None:
        self._elapsed = 0.0
        self._chance = random.Random(f"{seed}:turns")
        self._parked: list[tuple[str, asyncio.Future[None]]] = []
        self._graves: list[asyncio.Future[None]] = []
        self._trace = hashlib.sha256()
        self.steps = 0
        self.ending = False
        super().__init__(_NoFiles(self._nobody_runs))

    def time(self) -> float:
        """Seconds since the world began."""
        return self._elapsed

    def note(self, what: str) -> None:
        """Something that must happen in the same order each time this seed runs."""
        self._trace.update(f"{self._elapsed:.6f} {what}\n".encode())

    @property
    def trace(self) -> str:
        """The digest of all that was noted."""
        return self._trace.hexdigest()

    async def turn(self, who: str) -> None:
        """Wait until the seed lets this one go on."""
        if self.ending:
            raise asyncio.CancelledError
        place: asyncio.Future[None] = self.create_future()
        self._parked.append((who, place))
        await place

    def grave(self) -> "asyncio.Future[None]":
        """Where the tasks of a dead process stay: never woken, and not collected before the end."""
        self._graves.append(self.create_future())
        return self._graves[-1]

    def _nobody_runs(self, timeout: float | None) -> None:
        while self._parked:
            who, place = self._parked.pop(self._chance.randrange(len(self._parked)))
            if not place.done():
                self.steps += 1
                self.note(who)
                place.set_result(None)
                return
        if timeout is None:
            raise Stuck("nothing can run and no timer is set")
        self._elapsed += timeout

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> Any:
        """Threads would bring an order of their own: run it here and now."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def close(self) -> None:
        """End every task that still waits, then close."""
        self.ending = True
        for _ in range(50):
            left = [task for task in asyncio.all_tasks(self) if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self._elapsed += 1
            self.call_soon(self.stop)
            self.run_forever()
        super().close()

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody caught is part of the trace, not noise on the screen."""
        error = context.get("exception")
        if error is not None and not self.ending:
            self.note(f"uncaught {type(error).__name__}: {error}")

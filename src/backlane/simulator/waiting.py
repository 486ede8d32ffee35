"""Waiting for what changes in a simulated world: its clock, one of its runs. It decides nothing."""

import asyncio
from collections.abc import Awaitable, Callable

# Passes about this many seconds of the world's time; None where only somebody else moves the clock.
Pause = Callable[[float], Awaitable[None]]


class Bell:
    """Wakes whoever listens for a name. It may be rung from any thread."""

    def __init__(self) -> None:
        self._listening: dict[asyncio.Future[None], frozenset[str]] = {}

    def listen(self, *names: str) -> "asyncio.Future[None]":
        """Done when one of the names is rung from now on; cancel it to stop listening."""
        heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listening[heard] = frozenset(names)
        heard.add_done_callback(self._forget)
        return heard

    def ring(self, name: str | None = None) -> None:
        """Wake those who listen for the name, or everybody."""
        for heard, names in list(self._listening.items()):
            if name is not None and name not in names:
                continue
            loop = heard.get_loop()
            if loop is _own_loop():
                _settle(heard)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_settle, heard)

    def _forget(self, heard: "asyncio.Future[None]") -> None:
        self._listening.pop(heard, None)


def _own_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _settle(heard: "asyncio.Future[None]") -> None:
    if not heard.done():
        heard.set_result(None)

"""What is still being sent when its answer is ready: read for a moment, so that the answer arrives, then cut off.

A server that answered and goes on reading is kept busy by a body without end, for as long as its sender likes.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders

# A body that says it is no longer than this, bytes, is read to its end by the server, and the connection lives on.
_BOUNDED = 65_536
# Of any other, the rest is read so long, seconds, and so far, bytes: a connection that is closed at once may take
# the answer with it.
_LINGER = 1.0
LINGER_BYTES = 1_000_000

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Unread:
    """The two ways of one request, by ASGI: it knows whether the body was read to its end when the answer is."""

    def __init__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_left = not _is_bounded(Headers(scope=dict(scope)))

    async def receive(self) -> Any:
        """What the client sends next."""
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self._is_left = False
        return message

    async def send(self, message: Any) -> None:
        """Send a part of the answer; before the last one, whatever comes still is let pass."""
        if not self._is_left:
            await self._send(message)
        elif message["type"] == "http.response.start":
            MutableHeaders(scope=message)["Connection"] = "close"
            await self._send(message)
        elif message.get("more_body", False):
            await self._send(message)
        else:
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body", "body": b""})

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while self._is_left and left > 0:
                    left -= len((await self.receive()).get("body", b""))


def _is_bounded(headers: Headers) -> bool:
    """Whether there is no body, or one that says it is short."""
    if "transfer-encoding" in headers:
        return False
    told = headers.get("content-length", "0")
    return told.isdecimal() and int(told[:18]) <= _BOUNDED

"""Calls of the simulated world whose replies come piece by piece, and may be cut between any two of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

_Message = MutableMapping[str, Any]


def asks_for_a_stream(request: httpx2.Request, body: bytes) -> bool:
    """Whether this call's reply is a stream."""
    if request.method == "GET":
        return request.url.params.get("stream") == "true"
    if request.method != "POST" or request.url.path != "/v1/responses":
        return False
    try:
        return json.loads(body).get("stream") is True
    except (ValueError, AttributeError):
        return False


class Conversation:
    """One call as the provider's app serves it: the head, then the pieces; either side may leave."""

    def __init__(self, loop: asyncio.AbstractEventLoop, body: bytes) -> None:
        self.head: asyncio.Future[_Message] = loop.create_future()
        self.pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.whole = False
        self._body: bytes | None = body
        self._left = asyncio.Event()

    async def serve(self, app: Callable[..., Awaitable[None]], scope: dict[str, Any]) -> None:
        """Serve the call until the app has said everything, broke it off, or the caller left."""
        try:
            await app(scope, self._receive, self._send)
            self.whole = not self._left.is_set()
        except ConnectionAbortedError:
            self.whole = False
        finally:
            if not self.head.done():
                self.head.set_result({})
            self.pieces.put_nowait(None)

    def leave(self) -> None:
        """The caller is gone."""
        self._left.set()

    async def _receive(self) -> _Message:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: _Message) -> None:
        if message["type"] == "http.response.start":
            self.head.set_result(message)
        elif message.get("body"):
            self.pieces.put_nowait(message["body"])


class Pieces(httpx2.AsyncByteStream):
    """The body of a streamed reply below the SDK: each piece is a turn, and the network may end between two."""

    def __init__(
        self, process: Any, conversation: Conversation, cuts: Callable[[], bool], silence: float | None
    ) -> None:
        self._silence = silence
        self._process = process
        self._conversation = conversation
        self._cuts = cuts

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The pieces as they come."""
        while (piece := await self._next()) is not None:
            await self._process.turn("from the stream")
            if self._cuts():
                self._conversation.leave()
                raise httpx2.ReadError("the network ended")
            yield piece
        if not self._conversation.whole:
            raise httpx2.ReadError("the provider hung up")

    async def _next(self) -> bytes | None:
        """The next piece, unless none comes for too long."""
        try:
            async with asyncio.timeout(self._silence):
                return await self._conversation.pieces.get()
        except TimeoutError:
            self._conversation.leave()
            raise httpx2.ReadTimeout("nothing came") from None

    async def aclose(self) -> None:
        """The caller lets go."""
        self._conversation.leave()
        self._process.hung_up(self._conversation)

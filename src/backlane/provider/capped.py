"""Replies of bounded size: what is over the cap is never read, so no reply can fill a worker's memory."""

import zlib
from collections.abc import AsyncIterator

import httpx2

from backlane.provider.replies import TRUNCATED

_PACKED = ("gzip", "deflate")


class _Capped(httpx2.AsyncByteStream):
    """A body that ends at the cap, unpacked here because an unpacked body is what fills memory."""

    def __init__(self, response: httpx2.Response, at_most: int) -> None:
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        self._inner = response.stream
        self._response = response
        self._left = at_most
        packed = response.headers.get("content-encoding", "identity").strip().lower()
        self._unpacker = None
        if packed in _PACKED:
            del response.headers["content-encoding"]
            # 32: the header says whether it is gzip or zlib.
            self._unpacker = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            for part in self._unpacked(chunk):
                if len(part) > self._left:
                    self._response.extensions[TRUNCATED] = True
                    yield part[: self._left]
                    return
                self._left -= len(part)
                yield part

    def _unpacked(self, chunk: bytes) -> "list[bytes]":
        if self._unpacker is None:
            return [chunk]
        try:
            # One byte more than is taken: that is how going over is seen.
            return [self._unpacker.decompress(chunk, self._left + 1)]
        except zlib.error as error:
            raise httpx2.DecodingError(f"the reply cannot be unpacked: {error}") from error

    async def aclose(self) -> None:
        """Let go of the connection, read to its end or not."""
        await self._inner.aclose()


class Cap:
    """A response hook for an httpx2 client: every body ends at so many bytes, unpacked."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most

    async def __call__(self, response: httpx2.Response) -> None:
        """Put the cap on a response whose body was not read yet."""
        response.stream = _Capped(response, self._at_most)


class CapReplies(Cap):
    """The same for a client of event streams, whose reader keeps little of them: only ordinary replies end."""

    async def __call__(self, response: httpx2.Response) -> None:
        """Put the cap on a response that is no event stream."""
        if not (response.is_success and is_event_stream(response)):
            await super().__call__(response)


def is_event_stream(response: httpx2.Response) -> bool:
    """Whether a response says that it is server-sent events."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    return kind.strip().lower() == "text/event-stream"

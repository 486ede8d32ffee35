"""What comes back from the provider: an event stream, or a reply that may be too large for memory.

What is over some size goes straight to the artifact store.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from backlane.core.artifacts import Draft
from backlane.core.outcome import Stored
from backlane.core.stream import Break, Broken
from backlane.provider.replies import TRUNCATED, Reply

# Begins to take in bytes that are too many for memory.
Spill = Callable[[], Awaitable[Draft]]

# A larger reply is written to disk as it comes; so much of it is its beginning.
_IN_MEMORY = 2_000_000


class EventStream:
    """An open stream of server-sent events, not yet read."""

    def __init__(self, response: Any) -> None:
        self._response = response

    @property
    def is_packed(self) -> bool:
        """Whether its bytes would have to be unpacked, which could fill memory."""
        return self._response.headers.get("content-encoding", "identity").strip().lower() != "identity"

    @property
    def headers(self) -> dict[str, str]:
        """Its headers; names are lower case."""
        return headers_of(self._response)

    async def chunks(self) -> AsyncGenerator[bytes | Broken]:
        """Its bytes as they come; how it broke off, if it did, is the last value."""
        import httpx2

        try:
            async for chunk in self._response.aiter_raw():
                yield chunk
        except httpx2.TimeoutException:
            yield Broken(Break.SILENT, "nothing came for too long")
        except httpx2.HTTPError:
            yield Broken(Break.CUT, "the connection ended in the middle")

    async def close(self) -> None:
        """Let go of the connection."""
        await self._response.aclose()


def headers_of(raw: Any) -> dict[str, str]:
    """A response's headers; names are lower case."""
    return {str(name).lower(): str(value) for name, value in raw.headers.items()}


async def read_spilling(raw: Any, headers: dict[str, str], spill: Spill) -> Reply:
    """The reply of a success; from some size on it is on disk, and stays there if it was cut off.

    Raises StoreFull.
    """
    body, draft = bytearray(), None
    try:
        async for chunk in raw.aiter_bytes():
            if draft is None and len(body) + len(chunk) <= _IN_MEMORY:
                body += chunk
                continue
            draft = draft or await spill()
            if draft.size == 0:
                await draft.write(bytes(body))
            await draft.write(chunk)
        cut = bool(raw.extensions.get(TRUNCATED))
        if draft is None:
            return Reply(raw.status_code, headers, bytes(body), cut)
        if cut:
            stored = Stored(await draft.keep(), draft.size)
            return Reply(raw.status_code, headers, bytes(body), True, stored)
        with draft.reading() as whole:
            return Reply(raw.status_code, headers, await asyncio.to_thread(whole.read))
    finally:
        if draft is not None:
            await draft.drop()

"""Many followers in one process: says `ready` when all are connected, then when each piece came to each of them."""

import asyncio
import contextlib
import json
import re
import sys
import time
from typing import Any

_PIECE = re.compile(rb'"text":"(job_\w+/\d+) ')


class _Whole:
    """Set when so many pieces came in all."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self.all_came = asyncio.Event()

    def note(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.all_came.set()


class _Follower(asyncio.Protocol):
    def __init__(
        self, request: bytes, connected: asyncio.Event, came: list[tuple[str, int]], whole: "_Whole"
    ) -> None:
        self._request = request
        self._whole = whole
        self._connected = connected
        self._came = came
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.time_ns()
        *whole, self._rest = (self._rest + data).split(b"\n\n")
        for frame in whole:
            if b"id: " in frame:
                self._connected.set()
            found = _PIECE.search(frame.replace(b'"text": "', b'"text":"'))
            if found is not None:
                self._came.append((found[1].decode(), now))
                self._whole.note()


async def _follow(orders: dict[str, Any]) -> list[tuple[str, int]]:
    whole = _Whole(orders["followers"] * orders["pieces"])
    loop, came, waiting = asyncio.get_running_loop(), list[tuple[str, int]](), list[asyncio.Event]()
    for number in range(orders["followers"]):
        job_id = orders["jobs"][number % len(orders["jobs"])]
        request = (
            f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n"
            f"Authorization: Bearer {orders['key']}\r\n\r\n"
        )
        connected = asyncio.Event()
        waiting.append(connected)

        def made(request: str = request, connected: asyncio.Event = connected) -> _Follower:
            return _Follower(request.encode(), connected, came, whole)

        await loop.create_connection(made, "127.0.0.1", orders["port"])
    await asyncio.gather(*(one.wait() for one in waiting))
    print("ready", flush=True)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(whole.all_came.wait(), orders["seconds"])
    return came


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_follow(json.loads(sys.argv[1])))))

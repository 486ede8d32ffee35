"""Following jobs: who waits for a job's next event is told after its commit; a slow look covers other processes."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Generator, Iterable

from fastapi.sse import format_sse_event

from backlane.errors import BacklaneError
from backlane.service.access import Caller, authenticate
from backlane.service.ports import Ports
from backlane.service.show import read_events

_LOOK_AT_LEAST = 1.0
_PING_AFTER = 15.0
_RECHECK_AFTER = 30.0
_PAGE = 200


class Followers:
    """Wakes those who wait for a job."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, job_ids: Iterable[str]) -> None:
        """These jobs have new events."""
        for job_id in job_ids:
            for woken in self._waiting.get(job_id, ()):
                woken.set()

    @contextlib.contextmanager
    def following(self, job_id: str) -> Generator[asyncio.Event]:
        """An event that is set whenever the job has news, for as long as the block runs."""
        woken = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(woken)
        try:
            yield woken
        finally:
            waiting = self._waiting[job_id]
            waiting.discard(woken)
            if not waiting:
                del self._waiting[job_id]


async def wait_for_news(woken: asyncio.Event, seconds: float) -> None:
    """Wait until there is news, at most so long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
    woken.clear()


async def stream_events(
    ports: Ports, followers: Followers, caller: Caller, job_id: str, after: int, *, header: str
) -> AsyncGenerator[bytes]:
    """A job's events as SSE from a number on, until the job is terminal and all so far is sent.

    The key is checked again every 30 seconds; one that was revoked ends the stream.
    """
    loop = asyncio.get_running_loop()
    checked = spoken = loop.time()
    with followers.following(job_id) as woken:
        while True:
            try:
                if loop.time() - checked > _RECHECK_AFTER:
                    caller, checked = await authenticate(ports, header), loop.time()
                page, ended = await read_events(ports, caller, job_id, after, _PAGE)
            except BacklaneError:
                return
            for event in page:
                after, spoken = event["seq"], loop.time()
                data = json.dumps(event, ensure_ascii=False)
                yield format_sse_event(data_str=data, event=event["type"], id=str(event["seq"]))
            if ended:
                return
            if len(page) == _PAGE:
                continue
            if loop.time() - spoken > _PING_AFTER:
                spoken = loop.time()
                yield b": keep-alive\n\n"
            await wait_for_news(woken, _LOOK_AT_LEAST)

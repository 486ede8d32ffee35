"""Following one job: its events to one client, from a number on; each is a committed row before it is sent."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from backlane.api.channels import PAGE, Channel, Followers, written
from backlane.errors import BacklaneError
from backlane.service.access import Caller, authenticate
from backlane.service.ports import Ports
from backlane.service.read import read_raw
from backlane.service.show import read_events

_PING_AFTER = 15.0
# The line that only this event begins with: text of an event is JSON, which has no line of its own.
_CLOSES = b"\nevent: job.tightened\n"
_RECHECK_AFTER = 30.0
# Not yet part of a channel: its news is looked for by the follower itself.
_ALONE = 1.0


async def wait_for_news(woken: asyncio.Event, seconds: float) -> None:
    """Wait until there is news, at most so long, and for the next news from then on."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await woken.wait()
    woken.clear()


async def stream_events(
    ports: Ports,
    followers: Followers,
    caller: Caller,
    job_id: str,
    after: int,
    *,
    header: str,
    is_open: bool = False,
) -> AsyncGenerator[bytes]:
    """A job's events as SSE from a number on, until the job is terminal and all so far is sent.

    It ends too when this process stops, and where a job that no gate stood before (`is_open`) is marked
    sensitive: whoever may read on asks again, which is audited. The key and the caller's sight are checked
    again every 30 seconds; a caller who lost one is let go.
    """
    loop = asyncio.get_running_loop()
    checked = spoken = loop.time()
    with followers.channel(job_id) as (channel, bell):
        while True:
            try:
                if loop.time() - checked > _RECHECK_AFTER:
                    caller, checked = await authenticate(ports, header), loop.time()
                    await read_raw(ports, caller, job_id)
                told, last, over = await _next(ports, channel, caller, job_id, after)
            except BacklaneError:
                return
            if told:
                after, spoken = last, loop.time()
                yield told
            if over or followers.is_closing or (is_open and _CLOSES in b"\n" + told):
                return
            if told:
                continue
            if loop.time() - spoken >= _PING_AFTER:
                spoken = loop.time()
                yield b": keep-alive\n\n"
            await bell.heard(_PING_AFTER if channel.is_open else _ALONE)


async def _next(
    ports: Ports, channel: Channel, caller: Caller, job_id: str, after: int
) -> tuple[bytes, int, bool]:
    """What comes next, its last number, and whether that was all: from the channel, or from the database."""
    found = channel.after(after, caller)
    if found is not None:
        return *found, channel.is_over(found[1])
    page, ended = await read_events(ports, caller, job_id, after, PAGE)
    last = page[-1]["seq"] if page else after
    return b"".join(written(event) for event in page), last, ended

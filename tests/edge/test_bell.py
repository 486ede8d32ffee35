"""The bell that followers wait at: no news is missed, and news costs no timer."""

import asyncio
from typing import Any

import pytest

from backlane.api.bell import Bell
from backlane.api.channels import Followers
from backlane.api.follow import stream_events
from backlane.core.event import Event
from tests.conftest import Place
from tests.story.acts import submitted


async def test_a_bell_that_was_rung_between_two_waits_ends_the_next_at_once() -> None:
    bell = Bell()
    bell.ring()
    await asyncio.wait_for(bell.heard(60), 1)
    waiting = asyncio.create_task(bell.heard(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    bell.ring()
    await asyncio.wait_for(waiting, 1)
    bell.put_away()


async def test_a_bell_rings_by_itself_in_time_also_after_a_longer_wait() -> None:
    bell = Bell()
    first = asyncio.create_task(bell.heard(60))
    await asyncio.sleep(0)
    bell.ring()
    await first
    await asyncio.wait_for(bell.heard(0.01), 1)
    await asyncio.wait_for(bell.heard(0.01), 1)
    bell.put_away()


async def test_news_for_many_followers_makes_no_timers_and_is_written_once(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    many, pieces = 50, 6
    ana = await place.caller()
    job = await submitted(place, ana)
    ports, followers = place.service.ports, Followers(place.service.ports)
    place.service.store.on_commit = followers.tell
    came = [0] * many

    async def follow(number: int) -> None:
        async for chunk in stream_events(ports, followers, ana, job.id, 0, header=""):
            came[number] += chunk.count(b"event: output.delta")

    async def told(count: int) -> None:
        while min(came) < count:
            await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(follow(number)) for number in range(many)]
    delta = Event("output.delta", ports.clock.now(), "provider", {"text": "otters "})
    await place.service.store.write(lambda tx: tx.keep_events(job.id, [delta]))
    await asyncio.wait_for(told(1), 10)
    made: list[float] = []
    loop = asyncio.get_running_loop()
    really = loop.call_at

    def counted(when: float, *given: Any, **more: Any) -> asyncio.TimerHandle:
        if when - loop.time() > 0.9:
            made.append(when)
        return really(when, *given, **more)

    monkeypatch.setattr(loop, "call_at", counted)
    for piece in range(pieces):
        await place.service.store.write(lambda tx: tx.keep_events(job.id, [delta]))
        await asyncio.wait_for(told(piece + 2), 10)
    assert came == [pieces + 1] * many
    # One each at most, and a look for all of them once a second; not one each for every piece.
    assert len(made) <= many + 20
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""Live jobs whose provider sends each frame by hand: when text is committed, in how many pieces, of what size."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.core.stream import PIECE
from backlane.service.access import Caller
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.edge.raw_server import Answer, RawServer, raw_server, reply
from tests.edge.test_provider_streams import frame, said
from tests.story.acts import contents, finished, submitted
from tests.story.live_acts import events, joined, types_of
from tests.values import small_app

RUN: dict[str, Any] = {"id": "resp_1", "status": "queued"}
# Text is committed for its size, for its stream's end, or not at all within a test.
NEVER = 3_600_000


def ended(text: str, *more: Any) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": text, "annotations": []}]}
    return {**RUN, "status": "completed", "output": [message, *more]}


@dataclass
class Stream:
    """What a run streams: these pieces, then nothing until `go_on`, then its end."""

    pieces: list[str]
    end: dict[str, Any] = field(default_factory=dict[str, Any])
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
        told = [said(seq, piece) for seq, piece in enumerate(self.pieces, 1)]
        writer.write(head + b"".join([frame(0, "response.created", response=RUN), *told]))
        await writer.drain()
        await self.go_on.wait()
        last = self.end or ended("".join(self.pieces))
        writer.write(frame(len(self.pieces) + 1, "response.completed", response=last))
        await writer.drain()


@dataclass
class Told:
    """A live job at such a provider, and how often its worker committed what was streamed."""

    place: Place
    ana: Caller
    job: Job
    server: RawServer
    commits: list[str]
    log: list[str]

    async def deltas(self) -> list[str]:
        told = await events(self.place, self.ana, self.job.id)
        return [event["data"]["text"] for event in told if event["type"] == "output.delta"]

    async def until(self, count: int) -> list[str]:
        """The pieces that followers have, once there are so many."""
        for _ in range(1500):
            if len(found := await self.deltas()) >= count:
                return found
            await asyncio.sleep(0.01)
        raise AssertionError(found)


Begin = Callable[..., Awaitable[Told]]


@pytest.fixture
async def begin(tmp_path: Path, simulator: Running) -> AsyncIterator[Begin]:
    """Begins a live job at a provider that answers so."""
    async with _beginning(tmp_path, simulator) as found:
        yield found


@asynccontextmanager
async def _beginning(folder: Path, simulator: Running) -> AsyncIterator[Begin]:
    left: list[Any] = []

    async def begin(*answers: Answer, wait: int) -> Told:
        serving = raw_server(*answers)
        server = await serving.__aenter__()
        commits, log = list[str](), list[str]()
        settings = settings_for(folder, simulator, openai_base_url=server.url)
        service = build(settings, types=small_app(), log=log.append, point=commits.append)
        object.__setattr__(service.ports, "timings", replace(service.ports.timings, delta_wait=wait))
        left.extend([lambda: service.drain(grace=5), lambda: serving.__aexit__(None, None, None)])
        place = Place(service, simulator, settings)
        await service.start_worker()
        ana = await place.caller()
        return Told(place, ana, await submitted(place, ana, "plain", live=True), server, commits, log)

    try:
        yield begin
    finally:
        for close in left:
            await close()


async def test_many_small_pieces_that_come_together_are_one_event_and_one_commit(begin: Begin) -> None:
    stream = Stream(["Otters rest. "] * 40)
    stream.go_on.set()
    told = await begin(stream, wait=NEVER)
    view = await finished(told.place, told.ana, told.job)
    assert view["status"] == "completed"
    assert await told.deltas() == ["Otters rest. " * 40]
    # The first commit is the reader's own, before it reads.
    assert told.commits.count("delta") == 1 + 1


async def test_much_text_is_committed_before_its_time(begin: Begin) -> None:
    """Each piece has 64 bytes: the 64th fills what one event may hold."""
    stream = Stream(["x" * 64] * 70)
    told = await begin(stream, wait=NEVER)
    assert await told.until(1) == ["x" * PIECE]
    stream.go_on.set()
    view = await finished(told.place, told.ana, told.job)
    assert view["status"] == "completed"
    assert [len(text) for text in await told.deltas()] == [PIECE, 6 * 64]
    assert told.commits.count("delta") == 1 + 2


async def test_a_trickle_is_committed_although_nothing_more_comes(begin: Begin) -> None:
    stream = Stream(["Otters"])
    told = await begin(stream, wait=20)
    assert await told.until(1) == ["Otters"]
    assert not stream.go_on.is_set()
    stream.go_on.set()
    view = await finished(told.place, told.ana, told.job)
    assert (await contents(told.place, told.ana, view))["result"] == "Otters"
    assert await told.deltas() == ["Otters"]


async def test_an_end_too_large_for_one_frame_is_looked_at_and_its_text_comes_whole(begin: Begin) -> None:
    """The last event has more than is read of one event, and less than is read of a reply."""
    text = "Otters rest — float on their backs. "
    end = ended(text, {"type": "dream_call", "id": "d_1", "picture": "y" * 4_100_000})
    stream = Stream([text[:9], text[9:20]], end)
    told = await begin(stream, reply(200, end), wait=20)
    stream.go_on.set()
    view = await finished(told.place, told.ana, told.job)
    assert view["status"] == "completed", view["failure"]
    told_all = await events(told.place, told.ana, told.job.id)
    assert joined(told_all) == (await contents(told.place, told.ana, view))["result"] == text
    kinds = types_of({"told": told_all})
    assert kinds[-1] == "output.final" and "output.reset" not in kinds
    assert [line for line in told.log if "its stream is given up (too_large)" in line]
    assert [line.split()[0] for line in told.server.requests] == ["POST", "GET"]

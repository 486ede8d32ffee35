"""Replies that would fill the memory: what is over the cap is never read, and what it means is said."""

import asyncio
import gzip
import json
import tracemalloc
from typing import Any

import pytest

from backlane.core.outcome import Accepted, Failed, Finished, LookOutcome, Pending, Unknown
from backlane.core.ports import CreateCall
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from tests.edge.raw_server import Answer, raw_server, reply

CAP = 1_000_000
MIB = 1 << 20


def provider(url: str, at_most: int = CAP) -> OpenAIProvider:
    pace = Pace(lambda: 0, lambda: 0.0)
    accounts = {"default": Account("sk-test", url)}
    return OpenAIProvider(accounts, now=lambda: 0, pace=pace, reply_at_most=at_most)


def run(text: str, status: str = "completed") -> bytes:
    part = {"type": "output_text", "text": text, "annotations": []}
    output = [{"type": "message", "content": [part]}]
    return json.dumps({"id": "resp_1", "object": "response", "status": status, "output": output}).encode()


def endless(head: bytes, size: int) -> Answer:
    """A reply of this size that nobody holds in memory."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n".encode()
        )
        writer.write(head)
        block, sent = b"x" * 65_536, len(head)
        try:
            while sent < size:
                writer.write(block)
                sent += len(block)
                await writer.drain()
        except ConnectionError:
            return

    return answer


async def looked(answer: Answer, at_most: int = CAP) -> LookOutcome:
    async with raw_server(answer) as server:
        asked = provider(server.url, at_most)
        try:
            return await asked.look("default", "resp_1")
        finally:
            await asked.close()


async def test_a_reply_of_100_mb_never_fills_the_memory() -> None:
    await looked(reply(200, run("warm")))
    head = run("")[: -len('"}]}]}')] + b"otters "
    tracemalloc.start()
    try:
        outcome = await looked(endless(head, 100_000_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Failed)
    assert outcome.answer.code == "result_too_large"
    assert outcome.answer.usage is None
    assert len(outcome.answer.text) <= CAP
    assert peak < 12 * MIB


async def test_one_line_of_20_mb_is_read_whole_below_the_cap() -> None:
    outcome = await looked(reply(200, run("x" * 20_000_000)), at_most=32_000_000)
    assert isinstance(outcome, Finished)
    assert len(outcome.answer.text) == 20_000_000


@pytest.mark.parametrize("packing", ["gzip", "deflate"])
async def test_a_packed_bomb_is_measured_unpacked(packing: str) -> None:
    import zlib

    pack = gzip.compress if packing == "gzip" else zlib.compress
    bomb = pack(run("y" * 40_000_000))
    assert len(bomb) < 100_000
    tracemalloc.start()
    try:
        outcome = await looked(reply(200, bomb, {"content-encoding": packing}))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(outcome, Failed) and outcome.answer.code == "result_too_large"
    assert peak < 12 * MIB
    small = await looked(reply(200, pack(run("small")), {"content-encoding": packing}))
    assert isinstance(small, Finished) and small.answer.text == "small"


async def test_what_cannot_be_unpacked_teaches_nothing() -> None:
    outcome = await looked(reply(200, b"no gzip at all", {"content-encoding": "gzip"}))
    assert isinstance(outcome, Unknown)


async def test_a_large_reply_about_a_run_that_goes_on_ends_nothing() -> None:
    outcome = await looked(reply(200, run("z" * (CAP + 1), "in_progress")))
    assert outcome == Pending("in_progress", None)


async def test_a_large_reply_about_another_run_is_not_believed() -> None:
    outcome = await looked(reply(200, run("z" * (CAP + 1)).replace(b"resp_1", b"resp_2")))
    assert isinstance(outcome, Unknown)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (run("z" * (CAP + 1), "queued"), Accepted),
        (b'{"object":"response","filler":"' + b"z" * (CAP + 1), Unknown),
        (b"<html>" + b"z" * (CAP + 1), Unknown),
    ],
)
async def test_an_id_at_the_beginning_of_a_large_create_reply_is_not_lost(body: bytes, kind: Any) -> None:
    async with raw_server(reply(200, body)) as server:
        asked = provider(server.url)
        outcome = await asked.create(CreateCall("att_1", "default", {"model": "m", "input": "x"}))
        await asked.close()
    assert isinstance(outcome, kind)
    if isinstance(outcome, Accepted):
        assert outcome.response_id == "resp_1"

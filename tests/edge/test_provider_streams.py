"""What a provider's stream says, shape by shape: samples, raw bytes over real sockets, and what a rude one sends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import Accepted, Failed, Finished, NotSent, Refused, Unknown, When
from backlane.core.ports import CreateCall
from backlane.core.stream import (
    Began,
    Break,
    Broken,
    Ended,
    Moved,
    Noted,
    Opened,
    Streaming,
    Text,
)
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from backlane.provider.sse import Frames
from backlane.provider.stream import EventReader, Named, after, named_run
from backlane.provider.wire import observed
from tests.edge.raw_server import Answer, raw_server, reply, reset, silence
from tests.values import NOW

SAMPLES = Path(__file__).parents[1] / "samples"
CALL = CreateCall("att_1", "default", {"model": "gpt-6-luna", "input": "x", "stream": False})
RUN = {"id": "resp_1", "status": "queued", "metadata": {"backlane_attempt": "att_1"}}
DONE = {**RUN, "status": "completed", "output": [
    {"type": "message", "content": [{"type": "output_text", "text": "Hi there", "annotations": []}]}
]}  # fmt: skip


def adapter(url: str, **more: Any) -> OpenAIProvider:
    return OpenAIProvider(
        {"default": Account("sk-canary-1234", url)},
        now=lambda: NOW,
        pace=Pace(lambda: NOW, lambda: 0.0),
        **more,
    )


def frame(seq: int | None, kind: str, **fields: Any) -> bytes:
    numbered = {} if seq is None else {"sequence_number": seq}
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **numbered, **fields})}\n\n".encode()


def said(seq: int, delta: Any, **fields: Any) -> bytes:
    return frame(seq, "response.output_text.delta", delta=delta, output_index=0, **fields)


CREATED = frame(0, "response.created", response=RUN)
COMPLETED = frame(3, "response.completed", response=DONE)
WHOLE = CREATED + said(1, "Hi ") + said(2, "there") + COMPLETED


def streamed(*parts: bytes, end: str = "close", pause: float = 0.0, headers: str = "") -> Answer:
    """An event stream in so many writes; it ends in good order, by a reset, or not at all."""

    async def answer(writer: Any) -> None:
        # A body of chunks says where it ends, so that a reset is seen as one.
        length = "transfer-encoding: chunked\r\n" if end == "reset" else "connection: close\r\n"
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{headers}{length}\r\n".encode())
        for part in parts:
            writer.write(b"%x\r\n%s\r\n" % (len(part), part) if end == "reset" else part)
            await writer.drain()
            await asyncio.sleep(pause)
        if end == "reset":
            writer.transport.abort()
        elif end == "open":
            await writer.wait_closed()

    return answer


async def resumed(answer: Answer, after: int | None = 4, **more: Any) -> tuple[list[Any], list[str]]:
    async with raw_server(answer) as server:
        provider = adapter(server.url, **more)
        found = [event async for event in provider.resume_stream("default", "resp_1", after)]
        await provider.close()
        taken_up = found[:1] == [Opened()]
        assert taken_up or [event.kind for event in found], (
            "what cannot be taken up says why, and nothing else"
        )
        return found[taken_up:], server.requests


async def opened(answer: Answer, **more: Any) -> tuple[Any, list[Any]]:
    async with raw_server(answer) as server:
        provider = adapter(server.url, **more)
        outcome = await provider.open_stream(CALL)
        rest = [event async for event in outcome.events] if isinstance(outcome, Streaming) else []
        await provider.close()
        assert len(server.requests) == 1
        return outcome, rest


def read(name: str) -> list[Any]:
    frames = Frames(1_000_000).feed((SAMPLES / name).read_bytes())
    reader = EventReader()
    return [reader.read(one) for one in frames]


async def test_a_stream_is_read_whatever_pieces_its_bytes_come_in() -> None:
    for size in (1, 3, 7, len(WHOLE)):
        parts = [WHOLE[at : at + size] for at in range(0, len(WHOLE), size)]
        outcome, rest = await opened(streamed(*parts))
        assert (outcome.accepted, outcome.seq) == (Accepted("resp_1", "queued"), 0)
        assert rest[:2] == [Text("Hi ", 1), Text("there", 2)]
        assert isinstance(rest[2], Ended)
        assert rest[2].outcome.answer.text == "Hi there"


def test_the_samples_read_as_what_they_are() -> None:
    told = read("stream.background.completed.sse")
    assert isinstance(told[0], Began)
    assert isinstance(told[-1], Ended)
    text = "".join(event.delta for event in told if isinstance(event, Text))
    assert text == told[-1].outcome.answer.text
    assert [event.seq for event in told] == list(range(len(told)))
    assert isinstance(read("stream.background.resumed_after_17.sse")[-1], Ended)
    ends = {
        "failed": Failed, "incomplete": Finished, "cancelled_reported": Finished, "function_call": Finished,
    }  # fmt: skip
    for name, kind in ends.items():
        assert isinstance(read(f"stream.background.{name}.sse")[-1].outcome, kind)
    canceled = read("stream.background.cancelled_reported.sse")[-1]
    assert canceled.outcome.answer.status == "canceled"
    for name in ("flat_documented", "nested_reported"):
        last = read(f"stream.error_event.{name}.sse")[-1]
        assert isinstance(last, Broken)
        assert last.kind is Break.ERROR


async def test_a_create_asks_for_background_and_stream_and_a_resume_for_what_follows() -> None:
    bodies: list[bytes] = []

    async def answer(writer: Any) -> None:
        await streamed(WHOLE)(writer)

    async with raw_server(answer) as server:
        provider = adapter(server.url)
        connect = provider._calls.stream

        async def spy(name: str, method: str, path: str, content: bytes | None = None) -> Any:
            bodies.append(content or b"")
            return await connect(name, method, path, content)

        provider._calls.stream = spy  # pyright: ignore
        outcome = await provider.open_stream(CALL)
        assert isinstance(outcome, Streaming)
        await outcome.events.aclose()
        assert [one async for one in provider.resume_stream("default", "resp_1", 7)]
        assert [one async for one in provider.resume_stream("default", "resp_1", None)]
        await provider.close()
    sent = json.loads(bodies[0])
    assert (sent["background"], sent["stream"]) == (True, True)
    assert sent["stream_options"] == {"include_obfuscation": False}
    path = "GET /v1/responses/resp_1?stream=true&include_obfuscation=false"
    assert server.requests[1:] == [f"{path}&starting_after=7 HTTP/1.1", f"{path} HTTP/1.1"]


# What a create's stream can do before it names its run: nobody knows what was bought.
NAMELESS: list[tuple[str, Answer, str]] = [
    ("nothing", streamed(), "stream_ended_early"),
    ("a reset", streamed(b": ping\n\n", end="reset"), "stream_cut"),
    ("half a frame", streamed(CREATED[:-20]), "stream_ended_early"),
    ("broken JSON", streamed(b"data: {oops\n\n"), "stream_garbled"),
    ("a list", streamed(b"data: []\n\n"), "stream_garbled"),
    ("no id", streamed(frame(0, "response.created", response={"id": 7})), "stream_garbled"),
    ("another attempt", streamed(frame(0, "response.created", response={**RUN, "metadata": {
        "backlane_attempt": "att_9"}})), "stream_garbled"),
    ("an error", streamed(frame(0, "error", code="server_error", message="No.")), "stream_error"),
    ("only comments", streamed(b": ping\n\n"), "stream_ended_early"),
    ("only what nobody knows", streamed(frame(0, "response.mood")), "stream_ended_early"),
    ("the last word of the protocol", streamed(b"data: [DONE]\n\n"), "stream_ended_early"),
    ("packed", streamed(WHOLE, headers="content-encoding: gzip\r\n"), "stream_garbled"),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "code"), [row[1:] for row in NAMELESS], ids=[row[0] for row in NAMELESS])
async def test_a_create_whose_stream_names_no_run_is_unknown(answer: Answer, code: str) -> None:
    call = CreateCall("att_1", "default", {**CALL.params, "metadata": {"backlane_attempt": "att_1"}})
    async with raw_server(answer) as server:
        provider = adapter(server.url)
        outcome = await provider.open_stream(call)
        await provider.close()
    assert isinstance(outcome, Unknown)
    assert outcome.code == code


async def test_a_create_s_first_event_comes_in_the_time_of_a_call_or_nobody_knows() -> None:
    outcome, _ = await opened(streamed(b": ping\n\n", end="open"), call_timeout=300)
    assert outcome == Unknown("timeout", "the provider did not answer in time")
    outcome, _ = await opened(silence, call_timeout=300)
    assert isinstance(outcome, Unknown)


async def test_a_create_answered_otherwise_than_by_a_stream_means_what_it_always_means() -> None:
    assert (await opened(reply(200, RUN)))[0] == Accepted("resp_1", "queued")
    assert isinstance((await opened(reset))[0], Unknown)
    refused, _ = await opened(reply(400, {"error": {"message": "No.", "type": "x", "code": "y"}}))
    assert (refused.when, refused.code) == (When.NEVER, "request_refused")
    limited, _ = await opened(reply(429, {"error": {"message": "Later."}}, {"retry-after": "7"}))
    assert (limited.when, limited.retry_after) == (When.LATER, 7000)
    assert isinstance((await opened(reply(500, b"<html>", kind="text/html")))[0], Unknown)
    provider = adapter("http://127.0.0.1:9/v1")
    assert isinstance(await provider.open_stream(CALL), NotSent)
    unwritable = CreateCall("att_1", "default", {"input": {1, 2}})
    assert isinstance(await provider.open_stream(unwritable), Refused)
    await provider.close()


async def test_a_create_that_streams_its_end_at_once_is_accepted_and_ended() -> None:
    outcome, rest = await opened(streamed(frame(0, "response.completed", response=DONE)))
    assert outcome.accepted.ended
    assert [type(event) for event in rest] == [Ended]


BREAKS: list[tuple[str, Answer, Break]] = [
    ("a reset", streamed(said(5, "a"), end="reset"), Break.CUT),
    ("a clean end", streamed(said(5, "a")), Break.ENDED_EARLY),
    ("half a frame", streamed(said(5, "a"), said(6, "b")[:-9]), Break.ENDED_EARLY),
    ("broken JSON", streamed(said(5, "a"), b"data: {\n\n"), Break.GARBLED),
    ("no type", streamed(said(5, "a"), b"data: {}\n\n"), Break.GARBLED),
    ("text that is none", streamed(said(5, "a"), said(6, 7)), Break.GARBLED),
    ("text without a number", streamed(said(5, "a"), frame(None, "response.output_text.delta", delta="b")),
     Break.GARBLED),
    ("another run", streamed(said(5, "a"), frame(6, "response.completed", response={**DONE, "id": "resp_9"})),
     Break.GARBLED),
    ("a line without end", streamed(said(5, "a"), b"data: " + b"x" * 20_000, end="open"), Break.TOO_LARGE),
    ("a frame without end", streamed(said(5, "a"), *[b"data: " + b"x" * 900 + b"\n"] * 20, end="open"),
     Break.TOO_LARGE),
    ("text without end", streamed(said(5, "a"), *[said(6 + n, "x" * 900) for n in range(20)], end="open"),
     Break.TOO_LARGE),
    ("silence", streamed(said(5, "a"), end="open"), Break.SILENT),
    ("flat error", streamed(said(5, "a"), frame(6, "error", code="c", message="m")), Break.ERROR),
    ("nested error", streamed(said(5, "a"), frame(6, "error", error={"code": "c"})), Break.ERROR),
    ("an error that is none", streamed(said(5, "a"), frame(6, "error", error=7)), Break.ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "kind"), [row[1:] for row in BREAKS], ids=[row[0] for row in BREAKS])
async def test_a_stream_that_breaks_says_how_and_keeps_what_came_before(answer: Answer, kind: Break) -> None:
    found, _ = await resumed(answer, reply_at_most=10_000, silence=300)
    assert found[0] == Text("a", 5)
    assert isinstance(found[-1], Broken)
    assert found[-1].kind is kind


async def test_a_connection_that_is_kept_open_without_an_event_is_silent_too() -> None:
    found, _ = await resumed(streamed(*[b": ping\n\n"] * 200, pause=0.02, end="open"), silence=50)
    assert [event.kind for event in found] == [Break.SILENT]


REFUSALS = [
    (400, Break.REFUSED), (404, Break.REFUSED), (401, Break.REFUSED), (429, Break.UNAVAILABLE),
    (500, Break.UNAVAILABLE), (503, Break.UNAVAILABLE), (302, Break.UNAVAILABLE), (200, Break.NO_STREAM),
]  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_stream_that_cannot_be_taken_up_says_whether_it_ever_can(status: int, kind: Break) -> None:
    found, _ = await resumed(reply(status, {"id": "resp_1"}))
    assert [(event.kind, event.outage) for event in found] == [(kind, status >= 500)]


async def test_what_cannot_name_a_run_or_has_no_key_is_not_asked_for() -> None:
    provider = adapter("http://127.0.0.1:9/v1")
    for account, run in (("default", "../x y"), ("nobody", "resp_1")):
        found = [event async for event in provider.resume_stream(account, run, 1)]
        assert [event.kind for event in found] == [Break.REFUSED]
    found = [event async for event in provider.resume_stream("default", "resp_1", 1)]
    assert [(event.kind, event.outage) for event in found] == [(Break.UNAVAILABLE, True)]
    await provider.close()


def test_events_are_known_by_their_type_and_anything_else_is_noted() -> None:
    reader = EventReader("resp_1")

    def one(kind: str, seq: int | None = 1, **fields: Any) -> Any:
        return reader.read(json.dumps({"type": kind, "sequence_number": seq, **fields}).encode())

    assert one("response.in_progress", response={**RUN, "status": "in_progress"}) == Moved("in_progress", 1)
    assert one("response.in_progress", response={**RUN, "status": "thinking"}) == Moved("thinking", 1)
    assert one("response.mood.changed", x=[1]) == Noted(
        1, ('{"type": "response.mood.changed", "sequence_number": 1, "x": [1]}',)
    )
    assert one("response.mood.changed", x="y" * 20_000) == Noted(
        1, ('{"type": "response.mood.changed", "left_out": "20064 characters"}',)
    )
    # A new word in a known family is new; so is a new name for the run's own state, which is heeded all the same.
    sparkle = '{"type": "response.output_text.sparkle", "sequence_number": 1}'
    assert one("response.output_text.sparkle") == Noted(1, (sparkle,))
    moved, ended = one("response.dreaming", response=RUN), one("response.woken", response=DONE)
    assert (moved, "response.dreaming" in moved.unknown[0]) == (Moved("queued", 1, moved.unknown), True)
    assert isinstance(ended, Ended) and "response.woken" in ended.unknown[0]
    assert one("response.queued") == Noted(1)
    assert one("keepalive", None) == Noted(None)
    assert one("response.refusal.delta", delta="no") == Noted(1)
    assert one("response.output_text.delta", delta="a\x00b") == Text("a\ufffdb", 1)
    assert one("response.output_item.added", output_index=0, item={"phase": "commentary"}) == Noted(1)
    assert one("response.output_text.delta", output_index=0, delta="aside") == Noted(1)
    assert one("response.output_text.delta", output_index=1, delta="answer") == Text("answer", 1)
    assert one("response.output_item.added", output_index="x", item=[]) == Noted(1)


def test_new_fields_of_known_events_are_kept_once_with_their_first_value() -> None:
    reader = EventReader("resp_1")

    def one(kind: str, **fields: Any) -> list[Any]:
        event = reader.read(json.dumps({"type": kind, "sequence_number": 1, **fields}).encode())
        return [json.loads(body) for body in event.unknown]

    def new(event: str, field: str, value: Any) -> dict[str, Any]:
        return {"type": "event_field", "event": event, "field": field, "value": value}

    text, going = "response.output_text.delta", "response.in_progress"
    assert one(text, delta="a", confidence=0.5) == [new(text, "confidence", 0.5)]
    assert one(text, delta="a", confidence=0.7, obfuscation="xyz", logprobs=[]) == []
    assert one("response.output_text.done", text="a", confidence=1) == [
        new("response.output_text.done", "confidence", 1)
    ]
    assert one(going, response={**RUN, "status": "in_progress"}, eta=[1]) == [new(going, "eta", [1])]
    assert one("keepalive", until=3) == [new("keepalive", "until", 3)]
    assert one("error", code="x", message="m", param=None, retry_in=2) == [new("error", "retry_in", 2)]
    nested = {"code": "x", "message": "m", "type": "t", "param": None}
    assert one("error", error=nested) == []
    assert one("error", error={**nested, "retry_in": 2}) == [new("error", "error", {"retry_in": 2})]
    [large] = one("response.refusal.delta", delta="no", tone="x" * 20_000)
    assert (large["field"], "value" in large, large["left_out"][-10:]) == ("tone", False, "characters")
    found = sum(len(one("response.queued", **{f"new_{n}_{m}": 1 for m in range(9)})) for n in range(99))
    assert 90 < found <= 100


def test_what_is_new_before_a_run_is_named_is_not_lost() -> None:
    async def told() -> Any:
        yield Noted(0, ("a",))
        yield Began(Accepted("resp_1", "queued"), 1, ("b",))

    async def ended() -> Any:
        yield Noted(0, ("a",))
        yield Ended(outcome, 1, ("b",))

    outcome = observed(DONE, "resp_1", None)

    async def firsts(events: Any) -> list[Any]:
        named = await named_run(events)
        assert isinstance(named, Named)
        return [event async for event in after(named.first, events)]

    assert asyncio.run(firsts(told())) == [Noted(None, ("a", "b"))]
    [end] = asyncio.run(firsts(ended()))
    assert isinstance(end, Ended) and end.unknown == ("a", "b")


def test_frames_end_in_every_way_that_lines_end_and_large_ones_are_not_kept() -> None:
    for end in (b"\n", b"\r\n", b"\r"):
        lines = [
            b"\xef\xbb\xbfdata: a",
            b"data:b",
            b": x",
            b"event: y",
            b"",
            b"data",
            b"",
            b"data: c",
            b"",
            b"",
        ]
        raw = end.join(lines)
        for size in (1, 2, 100):
            frames, found = Frames(100), list[bytes]()
            for at in range(0, len(raw), size):
                found += frames.feed(raw[at : at + size])
            assert found == [b"a\nb", b"", b"c"], (end, size)
    for large in (b"data: " + b"x" * 20, b"data: 123456\ndata: 123456\ndata: 1\n\n"):
        frames = Frames(10)
        assert frames.feed(b"data: a\n\n" + large) == [b"a"]
        assert frames.is_over

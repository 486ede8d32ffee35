"""A run's event stream: frames to stream values. It goes by an event's `type` and its `response`, never by a class.

Nothing about an event's shape is trusted; one whose type is unknown is noted as it came and changes nothing.
Event types: openai 3.54, types/responses/response_stream_event.py.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from backlane.core.outcome import Accepted, Failed, Finished, Refused, Unknown
from backlane.core.stream import (
    UNKNOWN_AT_MOST,
    Began,
    Break,
    Broken,
    Ended,
    Events,
    Moved,
    Noted,
    StreamEvent,
    Text,
)
from backlane.provider import reading, wire
from backlane.provider.beyond import KEEPALIVE, NewFields, kept
from backlane.provider.receiving import EventStream
from backlane.provider.replies import Reply, error_of, parse
from backlane.provider.sse import Frames
from backlane.provider.vocabulary import EVENTS

# Longer than this many silences without an event, whatever else is sent to keep the connection open.
_EVENTLESS = 10
_DONE = b"[DONE]"
_KNOWN = EVENTS | {KEEPALIVE}


class EventReader:
    """Reads one connection's frames.

    `response_id` is the run it must be about, `attempt_id` the attempt that the run must name; whichever
    is not known is None.
    """

    def __init__(self, response_id: str | None = None, attempt_id: str | None = None) -> None:
        self._response_id = response_id
        self._attempt_id = attempt_id
        self._commentary: set[int] = set()
        self._fields = NewFields()

    def read(self, frame: bytes) -> StreamEvent:
        """What one frame says."""
        body = parse(frame)
        kind: Any = cast(Mapping[str, Any], body).get("type") if isinstance(body, Mapping) else None
        if not isinstance(kind, str):
            return Broken(Break.GARBLED, "an event is no JSON object with a type")
        event = cast(Mapping[str, Any], body)
        seq = _number(event.get("sequence_number"))
        unknown = self._fields.of(kind, event) if kind in _KNOWN else (_kept(event),)
        if kind == "error":
            found = error_of(event.get("error") if isinstance(event.get("error"), Mapping) else event)
            return Broken(Break.ERROR, f"{found.code or found.kind}: {found.message}"[:300], unknown=unknown)
        if isinstance(event.get("response"), Mapping):
            return self._lifecycle(event["response"], seq, unknown)
        if kind == "response.output_text.delta":
            return self._text(event, seq, unknown)
        if kind == "response.output_item.added":
            self._remember(event)
        return Noted(seq, unknown)

    def _lifecycle(self, response: Any, seq: int | None, unknown: tuple[str, ...]) -> StreamEvent:
        """An event that carries the run. Its status decides, not the event's name."""
        named = wire.accepted(response, None, self._attempt_id)
        if isinstance(named, Unknown):
            return Broken(Break.GARBLED, named.message)
        first = self._response_id is None
        self._response_id = self._response_id or named.response_id
        if named.response_id != self._response_id:
            return Broken(Break.GARBLED, "an event names another run")
        outcome = wire.observed(response, self._response_id, None)
        if isinstance(outcome, Finished | Failed):
            return Ended(outcome, seq, unknown)
        return Began(named, seq, unknown) if first else Moved(named.status, seq, unknown)

    def _text(self, event: Mapping[str, Any], seq: int | None, unknown: tuple[str, ...]) -> StreamEvent:
        delta = event.get("delta")
        if not isinstance(delta, str) or seq is None:
            return Broken(Break.GARBLED, "a piece of text is none, or has no number")
        if _number(event.get("output_index")) in self._commentary:
            return Noted(seq, unknown)
        return Text(reading.storable(delta), seq, unknown)

    def _remember(self, event: Mapping[str, Any]) -> None:
        item, index = event.get("item"), _number(event.get("output_index"))
        phase: Any = cast(Mapping[str, Any], item).get("phase") if isinstance(item, Mapping) else None
        if phase == "commentary" and index is not None:
            self._commentary.add(index)


def _kept(event: Mapping[str, Any]) -> str:
    return kept(event, {"type": reading.as_text(event["type"], 100)})


def _number(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value < 2**31 else None


async def read_events(
    stream: EventStream, reader: EventReader, *, silence: float, frame_at_most: int, text_at_most: int
) -> AsyncGenerator[StreamEvent]:
    """The events of an open stream; the last one is `Ended` or `Broken`. `silence` is seconds, the rest bytes."""
    written = 0
    try:
        if stream.is_packed:
            yield Broken(Break.GARBLED, "the stream is packed although that was not asked for")
            return
        frames, loop = Frames(frame_at_most), asyncio.get_running_loop()
        heard = loop.time()
        async for chunk in stream.chunks():
            if isinstance(chunk, Broken):
                yield chunk
                return
            found = frames.feed(chunk)
            if not found and loop.time() - heard > silence * _EVENTLESS:
                yield Broken(Break.SILENT, "the connection is kept open and no event comes")
                return
            for frame in found:
                heard = loop.time()
                event = Broken(Break.ENDED_EARLY) if frame.strip() == _DONE else reader.read(frame)
                yield event
                if isinstance(event, Ended | Broken):
                    return
                written += len(event.delta) if isinstance(event, Text) else 0
            if written > text_at_most:
                yield Broken(Break.TOO_LARGE, f"the run wrote more than {text_at_most} characters")
                return
            if frames.is_over:
                yield Broken(Break.TOO_LARGE, f"one event has more than {frame_at_most} bytes")
                return
        yield Broken(Break.ENDED_EARLY, "the stream ended without a last word")
    finally:
        await stream.close()


@dataclass(frozen=True, slots=True)
class Named:
    """The run that a create's stream is about, and the number of the event that named it.

    `first` is what is to be read before the rest: its end if that was it, else what was new so far.
    """

    accepted: Accepted
    seq: int | None
    first: Ended | Noted | None = None


async def named_run(events: Events) -> Named | Broken:
    """Read a create's stream until it names its run."""
    new: tuple[str, ...] = ()
    async for event in events:
        new = (*new, *event.unknown)[:UNKNOWN_AT_MOST]
        match event:
            case Began(accepted, seq):
                return Named(accepted, seq, Noted(None, new) if new else None)
            case Ended(outcome, seq):
                answer = outcome.answer
                made = Accepted(answer.response_id, answer.status, ended=True)
                return Named(made, seq, replace(event, unknown=new))
            case Broken():
                return event
            case _:
                continue
    return Broken(Break.ENDED_EARLY, "the stream ended without a word")


async def after(first: StreamEvent | None, rest: Events) -> AsyncGenerator[StreamEvent]:
    """An event that was read already, then the rest."""
    try:
        if first is not None:
            yield first
        if isinstance(first, Ended):
            return
        async for event in rest:
            yield event
    finally:
        await rest.aclose()


async def only(event: StreamEvent) -> AsyncGenerator[StreamEvent]:
    """A stream of one event."""
    yield event


def not_taken_up(outcome: Reply | object) -> Broken:
    """What it means that a run's stream could not be taken up."""
    if isinstance(outcome, Reply):
        if outcome.ok:
            return Broken(Break.NO_STREAM, "an ordinary reply came instead of a stream")
        passing = outcome.status in (408, 409, 429) or outcome.status >= 500
        kind = Break.UNAVAILABLE if passing or outcome.status < 400 else Break.REFUSED
        return Broken(kind, f"HTTP {outcome.status}", outage=outcome.status >= 500)
    if isinstance(outcome, Refused):
        return Broken(Break.REFUSED, outcome.code)
    lost = "the connection could not be made or ended before a reply"
    return Broken(Break.UNAVAILABLE, lost, outage=True)

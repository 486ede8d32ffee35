"""What a live stream of a provider's run says: a closed set of values, and the arithmetic of its cursor. Pure."""

import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from enum import StrEnum

from backlane.core.outcome import GOING_ON, Accepted, Failed, Finished

# At most so much text is one `output.delta`, bytes of UTF-8.
PIECE = 4_096
# A stream that could not be taken up so often in a row, with nothing learned, is given up: looks go on.
TRIES_IN_VAIN = 5
# Of a run's events that nobody here knows so many are kept, the first ones; as many new fields, and status words.
UNKNOWN_AT_MOST = 100
# What else is new and kept beside such events, by its `type`: a status word, a field of a known event.
NEW_STATUS = "response_status"
EVENT_FIELD = "event_field"


@dataclass(frozen=True, slots=True)
class Opened:
    """A stream could be taken up; what it says follows."""


@dataclass(frozen=True, slots=True)
class Began:
    """The stream names the run it is about."""

    accepted: Accepted
    seq: int | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moved:
    """The run goes on, in this status of the provider's."""

    status: str
    seq: int | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the answer's text."""

    delta: str
    seq: int
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """The run ended; this is all of it, whatever was streamed before."""

    outcome: Finished | Failed
    seq: int | None
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Noted:
    """An event that means nothing to us.

    `unknown`, of any event, is what is new to us, each as JSON: all of it if its type is, else each new field.
    """

    seq: int | None
    unknown: tuple[str, ...] = ()


class Break(StrEnum):
    """How a stream broke off."""

    CUT = "cut"  # the connection ended in the middle
    ENDED_EARLY = "ended_early"  # it ended in good order, without a last word
    SILENT = "silent"  # nothing came for too long
    GARBLED = "garbled"  # something came that nobody can read
    GAP = "gap"  # an event is missing
    TOO_LARGE = "too_large"  # one event is larger than is read
    ERROR = "error"  # the provider told of an error of the stream
    NO_STREAM = "no_stream"  # an ordinary reply came instead of a stream
    UNAVAILABLE = "unavailable"  # it could not be taken up now
    REFUSED = "refused"  # it cannot be taken up, not later either


@dataclass(frozen=True, slots=True)
class Broken:
    """The stream is over, the run goes on. `message` is for operators and holds nothing a model wrote.

    `outage`: it could not be taken up because the provider was not reached, or said that it cannot work.
    """

    kind: Break
    message: str = ""
    outage: bool = False
    unknown: tuple[str, ...] = ()


StreamEvent = Began | Moved | Text | Ended | Noted | Broken
# Closing it lets go of the connection; its last value is `Ended` or `Broken`.
Events = AsyncGenerator[StreamEvent]
# The same for a stream that is taken up: `Opened` comes first, unless it could not be.
TakenUp = AsyncGenerator[Opened | StreamEvent]


@dataclass(frozen=True, slots=True)
class Streaming:
    """A create that was accepted and streams: the run, the number of the event that named it, what follows."""

    accepted: Accepted
    seq: int | None
    events: Events


class Place(StrEnum):
    """Where an event stands beside what is known."""

    NEXT = "next"
    OLD = "old"
    GAP = "gap"


def place_of(cursor: int | None, seq: int | None) -> Place:
    """Whether an event is the next one, was had before, or comes after one that is missing.

    Numbers rise by one; before anything is known, a stream begins at 0 (some begin at 1). An event
    without a number is taken as the next.
    """
    if seq is None:
        return Place.NEXT
    expected = cursor + 1 if cursor is not None else (1 if seq == 1 else 0)
    if seq == expected:
        return Place.NEXT
    return Place.OLD if seq < expected else Place.GAP


def pieces(text: str, at_most: int = PIECE) -> Iterator[str]:
    """The text in pieces of at most so many bytes; a character is never cut."""
    start = 0
    while start < len(text):
        length = at_most
        while length > 1 and len(text[start : start + length].encode(errors="replace")) > at_most:
            length = length * 3 // 4
        yield text[start : start + length]
        start += length


def new_status(word: str) -> tuple[str, ...]:
    """A run's status as it is kept, if nobody here knows the word."""
    known = word in GOING_ON or word == "unknown"
    return () if known else (json.dumps({"type": NEW_STATUS, "status": word}, ensure_ascii=False),)


def same_news(body: str) -> tuple[str, ...]:
    """What makes two pieces of news the same one, its kind first: of a new field only the first value is kept."""
    one = json.loads(body)
    if one.get("type") == EVENT_FIELD:
        return EVENT_FIELD, str(one.get("event")), str(one.get("field"))
    return one["type"] if one.get("type") == NEW_STATUS else "event", body

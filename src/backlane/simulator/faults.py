"""The weather: which faults there are, which are in the air, and which call meets one. It changes no run."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backlane.simulator.fault_kind import Kind
from backlane.simulator.match import Asked, Match
from backlane.simulator.stream_faults import STREAM_FAULTS

_RESPONSES = frozenset({"create", "retrieve", "stream", "cancel", "delete", "input_items"})
_CONTAINERS = frozenset({"container_retrieve", "container_files", "container_file", "container_content"})
_FILES = frozenset({"file_upload", "file_list", "file_retrieve", "file_content", "file_delete"})
# A fault meets calls about files and containers only when its order names such a call.
CALLS = _RESPONSES | _FILES | _CONTAINERS
_READS = _RESPONSES - {"create"}


_CREATE, _CANCEL, _ON_READ = frozenset({"create"}), frozenset({"cancel"}), frozenset({"retrieve"})
_ACCEPT = {"accept": "true: the run is accepted all the same (default false)"}
_HOW = {"how": "close (default) or reset"}
_REFUSE_TEXT = {"message": "the error's message"}

FAULTS: dict[str, Kind] = {
    "lose_create_reply": Kind(
        "accept the run, then close the connection without a reply",
        _CREATE,
        "reply",
        {**_HOW, "accept": "false: the connection closes before anything is accepted (default true)"},
    ),
    "lose_reply": Kind(
        "do it, then close the connection without a reply",
        _READS,
        "reply",
        {**_HOW, "accept": "false: the connection closes before anything is done (default true)"},
    ),
    "cut_reply": Kind("send half of the reply, then close the connection", _RESPONSES, "reply"),
    "garble_reply": Kind("answer 200 with broken JSON", _RESPONSES, "reply"),
    "html_reply": Kind(
        "answer with an HTML page",
        _RESPONSES,
        "reply",
        {"status": "default 200", "accept": "default true below 500, false from 500"},
    ),
    "slow": Kind(
        "wait before replying",
        _RESPONSES,
        "delay",
        {
            "seconds": "default 1",
            "when": "before (default) or after the call took effect",
            "real": "true: really wait even on a virtual clock",
        },
    ),
    "rate_limit": Kind(
        "429 rate_limit_exceeded",
        _CREATE,
        "reply",
        {
            "retry_after": "seconds, http-date, or any text; absent: no header",
            "retry_after_ms": "milliseconds",
            "seconds": "how far ahead an http-date lies (default 20)",
            **_REFUSE_TEXT,
        },
    ),
    "quota": Kind("429 insufficient_quota", _CREATE, "reply", {"code": "another quota code", **_REFUSE_TEXT}),
    "server_error": Kind("500", _CREATE, "reply", {**_ACCEPT, **_REFUSE_TEXT}),
    "overloaded": Kind("503 server_is_overloaded", _CREATE, "reply", {**_ACCEPT, **_REFUSE_TEXT}),
    "slow_down": Kind("503 slow_down", _CREATE, "reply", {**_ACCEPT, **_REFUSE_TEXT}),
    "status": Kind(
        "any status",
        _CREATE,
        "reply",
        {
            "status": "default 400",
            "body": "the whole body instead of an error object",
            "headers": "an object",
            "code": "the error's code",
            "type": "the error's type",
            "param": "the error's param",
            **_ACCEPT,
            **_REFUSE_TEXT,
        },
    ),
    "failed": Kind(
        "the run ends failed", _CREATE, "ending", {"code": "default server_error", "message": "the text"}
    ),
    "incomplete": Kind(
        "the run ends incomplete with half of its text",
        _CREATE,
        "ending",
        {"reason": "max_output_tokens (default) or content_filter"},
    ),
    "refusal": Kind("the model refuses", _CREATE, "ending", {"text": "what it says"}),
    "slow_run": Kind("the run takes longer", _CREATE, "duration", {"seconds": "default 60"}),
    "missing_usage": Kind("the run ends without usage", _CREATE, "usage"),
    "garbled_usage": Kind("the run ends with a usage object of the wrong types", _CREATE, "usage"),
    "complete_after_cancel": Kind(
        "a cancel is answered cancelled, but the run completes all the same",
        _CREATE,
        "aftermath",
        {"seconds": "from the cancel until it shows completed (default 1)"},
    ),
    "unknown_status": Kind("a status nobody knows", _ON_READ, "reply", {"status": "default thinking"}),
    "backwards_status": Kind("shows in_progress although the run has ended", _ON_READ, "reply", {}, True),
    "changed_usage": Kind(
        "usage differs from the run's real one",
        _ON_READ,
        "reply",
        {"add": "output tokens, default 100"},
        True,
    ),
    "poll_after_ms": Kind("replies carry openai-poll-after-ms", _RESPONSES, "header", {"ms": "default 1000"}),
    "gone": Kind("404: the run is not there (any more)", _READS, "reply"),
    "cancel_404": Kind("a cancel is answered 404 without effect", _CANCEL, "reply"),
    "cancel_409": Kind("a cancel is answered 409 without effect", _CANCEL, "reply"),
    "file_unreadable": Kind(
        "the run ends failed because a file or picture of its input cannot be read",
        _CREATE,
        "ending",
        {"code": "default image_parse_error", "message": "the text"},
    ),
    "mcp_failed": Kind(
        "the MCP calls of the run fail; the run does not",
        _CREATE,
        "tool",
        {
            "type": "http_error (default), mcp_protocol_error or mcp_tool_execution_error",
            "code": "default 502",
            "message": "the error's text",
            "listing": "true: the server's tools cannot even be listed",
        },
    ),
    "container_expired": Kind("the container is gone before its time, for good", _CONTAINERS, "reply"),
    "cancel_lost": Kind("a cancel is lost: no effect, no reply", _CANCEL, "reply", _HOW),
    **STREAM_FAULTS,
}


@dataclass(slots=True)
class Fault:
    """One fault in the air; `times` None means always."""

    name: str
    times: int | None
    calls: frozenset[str]
    match: Match
    rate: float
    values: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """What it means."""
        return FAULTS[self.name]


def read_fault(given: Mapping[str, Any]) -> Fault:
    """A fault as the control surface takes it. Raises ValueError naming what is wrong."""
    name = given.get("fault")
    if not isinstance(name, str) or name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
    own = {"fault", "times", "call", "match", "rate"}
    values = {key: value for key, value in given.items() if key not in own}
    known = FAULTS[name].parameters
    for key in values:
        if key not in known:
            raise ValueError(f"fault {name}: unknown parameter {key!r}; known: {', '.join(known) or 'none'}")
    call = given.get("call")
    if call is not None and call not in CALLS:
        raise ValueError(f"fault {name}: unknown call {call!r}; known: {', '.join(sorted(CALLS))}")
    calls = FAULTS[name].calls if call is None else frozenset({str(call)})
    return Fault(
        name, read_times(given), calls, Match.read(given.get("match")), float(given.get("rate", 1.0)), values
    )


def read_times(given: Mapping[str, Any]) -> int | None:
    """How often something applies: once unless told; None is always. Raises ValueError."""
    times = given.get("times", 1)
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError(f"times must be a positive number or null, not {times!r}")
    return times


class Weather:
    """The faults that wait for a call."""

    def __init__(self, chance: random.Random) -> None:
        self._faults: list[Fault] = []
        self._chance = chance

    def add(self, fault: Fault) -> None:
        """Put a fault in the air."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Clear sky."""
        self._faults.clear()

    def meet(
        self, call: str, slots: Iterable[str], asked: Asked, *, ended: bool = False, cursor: bool = False
    ) -> dict[str, Fault]:
        """What this call meets, by slot; each fault it meets is used up once."""
        met: dict[str, Fault] = {}
        for fault in list(self._faults):
            kind = fault.kind
            if kind.slot not in slots or kind.slot in met or call not in fault.calls:
                continue
            if (kind.needs_ended and not ended) or (kind.needs_cursor and not cursor):
                continue
            if not fault.match.meets(asked):
                continue
            if fault.rate < 1.0 and self._chance.random() >= fault.rate:
                continue
            met[kind.slot] = fault
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
        return met

    def waiting(self) -> list[dict[str, Any]]:
        """What is still in the air."""
        return [
            {"fault": one.name, "times": one.times, "calls": sorted(one.calls), **one.values}
            for one in self._faults
        ]

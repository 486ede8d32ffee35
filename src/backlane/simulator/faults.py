"""The weather: which faults there are, which are in the air, and which call meets one."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAULTS: dict[str, str] = {
    "lose_create_reply": "accept the run, then close the connection without a reply",
    "lose_reply": "close the connection without a reply (call: retrieve, cancel or delete)",
    "cut_reply": "send half of the reply, then close the connection",
    "garble_reply": "answer 200 with broken JSON",
    "html_reply": "answer 200 with an HTML page",
    "slow": "wait `seconds` before replying (when: before or after the run is accepted)",
    "rate_limit": "429; retry_after (seconds, text or absent), retry_after_ms, accept: false",
    "quota": "429 insufficient_quota, or `code`",
    "server_error": "500; with accept: true the run is accepted all the same",
    "overloaded": "503 server_is_overloaded",
    "slow_down": "503 slow_down",
    "status": "any `status` with `body` and `headers`; with accept: true the run is accepted all the same",
    "failed": "the run ends failed with `code` and `message`",
    "incomplete": "the run ends incomplete with `reason` and half of its text",
    "refusal": "the model refuses with `text`",
    "slow_run": "the run takes `seconds` longer",
    "unknown_status": "a retrieve shows a status nobody knows",
    "missing_usage": "the run ends without usage",
    "garbled_usage": "the run ends with a usage object of the wrong types",
    "backwards_status": "a retrieve shows in_progress although the run has ended",
    "poll_after_ms": "replies carry openai-poll-after-ms: `ms`",
    "gone": "404: the run is not there (any more)",
    "complete_after_cancel": "a cancel is answered, but the run completes all the same",
    "cancel_404": "a cancel is answered 404",
    "cancel_409": "a cancel is answered 409",
    "cancel_lost": "a cancel is lost: no effect, no reply",
}


@dataclass(slots=True)
class Fault:
    """One fault in the air; `times` None means always."""

    name: str
    times: int | None
    call: str | None
    match: Mapping[str, Any]
    rate: float
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])


def read_fault(given: Mapping[str, Any]) -> Fault:
    """A fault as the control surface takes it. Raises ValueError naming what is wrong."""
    name = given.get("fault")
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}; known: {', '.join(FAULTS)}")
    own = {"fault", "times", "call", "match", "rate"}
    return Fault(
        name,
        given.get("times", 1),
        given.get("call"),
        given.get("match", {}),
        float(given.get("rate", 1.0)),
        {key: value for key, value in given.items() if key not in own},
    )


def matches(match: Mapping[str, Any], body: Any, text: str) -> bool:
    """Whether a request is the one a script or fault waits for."""
    metadata: Any = body.get("metadata") or {}
    wanted: Any = match.get("metadata", {})
    return (
        all(metadata.get(key) == value for key, value in wanted.items())
        and match.get("model") in (None, body.get("model"))
        and str(match.get("input_contains", "")) in text
        and str(match.get("instructions_contains", "")) in str(body.get("instructions") or "")
    )


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

    def take(self, names: set[str], call: str, body: Mapping[str, Any], text: str = "") -> Fault | None:
        """The first waiting fault of these that this call meets, used up once."""
        for fault in self._faults:
            if (
                fault.name not in names
                or fault.call not in (None, call)
                or not matches(fault.match, body, text)
            ):
                continue
            if fault.rate < 1.0 and self._chance.random() >= fault.rate:
                continue
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
            return fault
        return None

    def waiting(self) -> list[dict[str, Any]]:
        """What is still in the air."""
        return [
            {"fault": one.name, "times": one.times, "call": one.call, **one.values} for one in self._faults
        ]

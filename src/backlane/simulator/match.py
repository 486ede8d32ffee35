"""Whether a request is the one a script or a fault waits for. It remembers only how many it has seen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.values import as_object

_KEYS = ("model", "metadata", "input_contains", "instructions_contains", "response_id", "nth")


@dataclass(frozen=True, slots=True)
class Asked:
    """The request behind a call: its body, its input's text, and the run once there is one."""

    body: Mapping[str, Any]
    text: str
    response_id: str | None = None


@dataclass(slots=True)
class Match:
    """All named conditions hold; `nth` counts, from 1, the requests that meet the others."""

    wanted: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seen: int = 0

    @classmethod
    def read(cls, given: Any) -> "Match":
        """A match as the control surface takes it. Raises ValueError naming what is wrong."""
        if given is not None and not isinstance(given, dict):
            raise ValueError("match must be an object")
        wanted = as_object(given)
        for key in wanted:
            if key not in _KEYS:
                raise ValueError(f"unknown match {key!r}; known: {', '.join(_KEYS)}")
        return cls(wanted)

    def meets(self, asked: Asked) -> bool:
        """Whether this request is meant."""
        wanted, metadata = self.wanted, as_object(asked.body.get("metadata"))
        instructions = str(asked.body.get("instructions") or "")
        if not (
            all(metadata.get(key) == value for key, value in as_object(wanted.get("metadata")).items())
            and wanted.get("model") in (None, asked.body.get("model"))
            and wanted.get("response_id") in (None, asked.response_id)
            and str(wanted.get("input_contains", "")) in asked.text
            and str(wanted.get("instructions_contains", "")) in instructions
        ):
            return False
        self.seen += 1
        return wanted.get("nth") in (None, self.seen)

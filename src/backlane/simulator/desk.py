"""What a simulated tool works with, and what it hands back. It does nothing by itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.containers import Container
from backlane.simulator.conversation import Item, Turn
from backlane.simulator.files import Files
from backlane.simulator.text import Source


@dataclass(frozen=True, slots=True)
class Desk:
    """One run's request, its script, and the provider's files. `tail` makes ids the run's own."""

    turn: Turn
    then: Mapping[str, Any]
    tail: str
    source: Source
    files: Files
    now: float

    def scripted(self, key: str) -> Any:
        """What the script says of a tool; None when it says nothing."""
        return self.then.get(key)

    def topic(self) -> str:
        """The input's foremost words."""
        return " ".join(self.source.terms[:3]) or "the input"


@dataclass(frozen=True, slots=True)
class Finding:
    """A line the answer tells of, and its annotation without a place in the text."""

    text: str
    note: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Work:
    """The items of the tools that ran, in order, and what they found."""

    items: list[Item] = field(default_factory=list[Item])
    findings: list[Finding] = field(default_factory=list[Finding])
    # Fields of an item that are shown only where a request includes them, by item id.
    hidden: dict[str, Item] = field(default_factory=dict[str, Item])
    containers: list[Container] = field(default_factory=list[Container])
    # It waits for an approval: there is no answer yet.
    waits: bool = False

    def add(self, other: "Work") -> None:
        """Take over what another tool did."""
        self.items += other.items
        self.findings += other.findings
        self.hidden |= other.hidden
        self.containers += other.containers
        self.waits = self.waits or other.waits

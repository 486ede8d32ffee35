"""What every figure shares: contenders run in turns, medians with their spread, aims that are met or missed."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Sample = dict[str, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of several measurements, and how far they lie apart."""

    median: float
    least: float
    most: float
    count: int


@dataclass(frozen=True, slots=True)
class Aim:
    """A number that was hoped for, and the one that was measured."""

    name: str
    measured: float
    bound: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the measured number is on the right side of the bound."""
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


@dataclass(slots=True)
class Figure:
    """One table of the report: a row per contender, the aims, and what a reader has to know."""

    name: str
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    aims: list[Aim] = field(default_factory=list[Aim])
    notes: list[str] = field(default_factory=list[str])


def spread(values: Sequence[float]) -> Spread:
    """Median, least and most. Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    return Spread(statistics.median(values), min(values), max(values), len(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank). Raises ValueError without values."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def turns(names: Sequence[str], rounds: int) -> list[str]:
    """Who runs when: every contender once a round, every other round backwards, so that drift is shared."""
    order: list[str] = []
    for number in range(rounds):
        order.extend(names if number % 2 == 0 else reversed(names))
    return order


def interleave(
    contenders: Mapping[str, Callable[[], Sample]], rounds: int, told: Callable[[str], None]
) -> dict[str, list[Sample]]:
    """Run contenders in turns; every contender's samples."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for name in turns(list(contenders), rounds):
        told(name)
        samples[name].append(contenders[name]())
    return samples


def summary(samples: Sequence[Sample]) -> dict[str, Any]:
    """Each measured number as its median, with its least and most where several were taken."""
    row: dict[str, Any] = {}
    for name in samples[0]:
        found = spread([sample[name] for sample in samples])
        row[name] = found.median
        if found.count > 1:
            row[f"{name}_least"], row[f"{name}_most"] = found.least, found.most
    return row

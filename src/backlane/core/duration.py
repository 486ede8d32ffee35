"""How long runs usually take, from the newest ends of their kind; kept small. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

KEPT = 200
ENOUGH = 10
_LONGEST = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class Usual:
    """Quantiles of the newest runs of one type, model and lane, in milliseconds."""

    p05: int
    p50: int
    p90: int


def usual(sample: Sequence[int]) -> Usual | None:
    """The quantiles of a sample; None below ten, where any number would be a guess."""
    if len(sample) < ENOUGH:
        return None
    ordered = sorted(sample)
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.04, 0.5, 0.9)]
    return Usual(*at)


def with_end(sample: Sequence[int], duration: int) -> list[int]:
    """The sample with one more run, the oldest forgotten; a clock that jumped teaches nothing."""
    if not 0 <= duration <= _LONGEST:
        return list(sample)
    return [*sample, duration][-KEPT:]

"""The execution lanes and, for every lane, the verdict and the reason why. Pure."""

from collections.abc import Sequence
from enum import StrEnum


class Lane(StrEnum):
    """How a run is executed."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"
    BATCH = "batch"


class Window(StrEnum):
    """By when the provider should finish; longer ones are cheaper there."""

    SOONEST = "soonest"
    TWO_HOURS = "2h"
    EIGHT_HOURS = "8h"


AVAILABLE = frozenset({Lane.BACKGROUND})


def verdicts(allowed: Sequence[str], wanted: str | None) -> list[dict[str, str]]:
    """For every lane: its verdict (yes or no) and the reason, in the lanes' order."""
    rows: list[dict[str, str]] = []
    for lane in Lane:
        if lane not in allowed:
            verdict, reason = "no", "the job type does not allow it"
        elif wanted is not None and lane != wanted:
            verdict, reason = "no", f"{wanted} was asked for"
        elif lane not in AVAILABLE:
            verdict, reason = "no", "not available in this version"
        else:
            verdict, reason = "yes", "asked for" if wanted else "runs on at the provider for minutes to hours"
        rows.append({"lane": str(lane), "verdict": verdict, "reason": reason})
    return rows


def chosen(rows: Sequence[dict[str, str]]) -> str | None:
    """The lane the verdicts lead to, or None if every lane says no."""
    return next((row["lane"] for row in rows if row["verdict"] == "yes"), None)

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


AVAILABLE = frozenset({Lane.INTERACTIVE, Lane.BACKGROUND})
# What each lane promises; the first says what is weaker about it.
_PROMISES: dict[Lane, str] = {
    Lane.INTERACTIVE: "a worker holds it; a crash loses the run and asks",
    Lane.BACKGROUND: "runs on at the provider for minutes to hours",
}


def verdicts(
    allowed: Sequence[str], wanted: str | None, *, background: bool = True, rebuys: bool = False
) -> list[dict[str, str]]:
    """For every lane: its verdict (yes or no) and the reason, in the lanes' order.

    `background` says whether the provider account has background mode, `rebuys` whether the job type has a
    lost run bought once more.
    """
    rows: list[dict[str, str]] = []
    for lane in Lane:
        if lane not in allowed:
            verdict, reason = "no", "the job type does not allow it"
        elif wanted is not None and lane != wanted:
            verdict, reason = "no", f"{wanted} was asked for"
        elif lane not in AVAILABLE:
            verdict, reason = "no", "not available in this version"
        elif lane is Lane.BACKGROUND and not background:
            verdict, reason = "no", "the provider account has no background mode"
        else:
            verdict, reason = "yes", _reason(lane, wanted, rebuys)
        rows.append({"lane": str(lane), "verdict": verdict, "reason": reason})
    return rows


def _reason(lane: Lane, wanted: str | None, rebuys: bool) -> str:
    promise = _PROMISES.get(lane, "")
    if lane is Lane.INTERACTIVE and rebuys:
        promise = "a worker holds it; a crash loses the run, which is bought once more"
    if wanted is None:
        return promise
    return f"asked for; {promise}" if lane is Lane.INTERACTIVE else "asked for"


def chosen(rows: Sequence[dict[str, str]], preferred: Sequence[str] = tuple(Lane)) -> str | None:
    """The lane the verdicts lead to, the job type's first choice before others; None if every lane says no."""
    fit = {row["lane"] for row in rows if row["verdict"] == "yes"}
    return next((str(lane) for lane in preferred if lane in fit), None)

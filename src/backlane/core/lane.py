"""The execution lanes and, for every lane, the verdict and the reason why. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from backlane.core.schedule import HOUR


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


# How long the provider may take, in milliseconds.
WINDOWS: dict[str, int] = {Window.TWO_HOURS: 2 * HOUR, Window.EIGHT_HOURS: 8 * HOUR}
AVAILABLE = frozenset({Lane.INTERACTIVE, Lane.BACKGROUND})
# What each lane promises; the first says what is weaker about it.
_PROMISES: dict[Lane, str] = {
    Lane.INTERACTIVE: "a worker holds it; a crash loses the run and asks",
    Lane.BACKGROUND: "runs on at the provider for minutes to hours",
}
# The provider's cheaper windows are for standard processing only.
_STANDARD = frozenset({None, "auto", "default"})


def window_of(window: str) -> int | None:
    """How long a run of this window may take by the provider's word, in milliseconds; None for soonest."""
    return WINDOWS.get(window)


def kind_of(lane: str, window: str) -> str:
    """Under which name the lengths of runs are learned: a window's runs say nothing of the others'."""
    return lane if window == Window.SOONEST else f"{lane}/{window}"


def against_window(
    window: str, *, start: int, useful_until: int, deadline: int | None, live: bool, service_tier: str | None
) -> str | None:
    """Why a run of this window is not possible, in words; None where it is.

    `start` is when it may be sent at the soonest; times are milliseconds since 1970 UTC.
    """
    length = WINDOWS.get(window)
    if length is None:
        return None
    if live:
        return f"window {window} cannot be streamed live"
    if service_tier not in _STANDARD:
        return f"window {window} needs standard processing, the type asks for service tier {service_tier}"
    if start + length > useful_until:
        return f"window {window} ends after the job's useful window"
    if deadline is not None and start + length > deadline:
        return f"window {window} ends after the job's deadline"
    return None


def verdicts(
    allowed: Sequence[str],
    wanted: str | None,
    *,
    window: str = Window.SOONEST,
    against: str | None = None,
    background: bool = True,
    rebuys: bool = False,
) -> list[dict[str, str]]:
    """For every lane: its verdict (yes or no) and the reason, in the lanes' order.

    `against` is what speaks against the window that was asked for, `background` whether the provider
    account has background mode, `rebuys` whether the job type has a lost run bought once more.
    """
    rows: list[dict[str, str]] = []
    for lane in Lane:
        if lane not in allowed:
            verdict, reason = "no", "the job type does not allow it"
        elif wanted is not None and lane != wanted:
            verdict, reason = "no", f"{wanted} was asked for"
        elif window != Window.SOONEST and lane is not Lane.BACKGROUND:
            verdict, reason = "no", f"window {window} is of the background lane"
        elif lane not in AVAILABLE:
            verdict, reason = "no", "not available in this version"
        elif lane is Lane.BACKGROUND and not background:
            verdict, reason = "no", "the provider account has no background mode"
        elif against is not None:
            verdict, reason = "no", against
        else:
            verdict, reason = "yes", _reason(lane, wanted, window, rebuys)
        rows.append({"lane": str(lane), "verdict": verdict, "reason": reason})
    return rows


def _reason(lane: Lane, wanted: str | None, window: str, rebuys: bool) -> str:
    promise = _PROMISES.get(lane, "")
    if lane is Lane.INTERACTIVE and rebuys:
        promise = "a worker holds it; a crash loses the run, which is bought once more"
    if wanted is not None:
        promise = f"asked for; {promise}" if lane is Lane.INTERACTIVE else "asked for"
    return promise if window == Window.SOONEST else f"{promise}; cheaper, within {window}"


def chosen(rows: Sequence[dict[str, str]], preferred: Sequence[str] = tuple(Lane)) -> str | None:
    """The lane the verdicts lead to, the job type's first choice before others; None if every lane says no."""
    fit = {row["lane"] for row in rows if row["verdict"] == "yes"}
    return next((str(lane) for lane in preferred if lane in fit), None)

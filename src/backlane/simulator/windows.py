"""How long runs wait and work, completion windows included. A window is a target, not a promise."""

import random
from collections.abc import Iterable, Mapping
from typing import Any

from backlane.simulator.faults import Fault
from backlane.simulator.runs import Run
from backlane.simulator.switches import Switches
from backlane.simulator.values import as_object

_WINDOW_SECONDS = {"2h": 2 * 3600.0, "8h": 8 * 3600.0}
# Most of a window is spent waiting for room.
_WAITING_SHARE = 0.9


def durations(
    chance: random.Random,
    body: Mapping[str, Any],
    then: Mapping[str, Any],
    slow: Fault | None,
    switches: Switches,
    former: Iterable[Run],
) -> tuple[float, float]:
    """Seconds in queued and in progress. Scripted ones are exact; the simulator's own are shortened by `speed`.

    `former` are the runs accepted before: one of the same continuation has made way for this one.
    """
    queued, running = chance.uniform(*switches.queued_seconds), chance.uniform(*switches.running_seconds)
    window = _WINDOW_SECONDS.get(str(as_object(body.get("background_options")).get("completion_window")))
    if window is not None:
        taken = window * chance.uniform(*switches.window_share)
        queued, running = taken * _WAITING_SHARE, taken * (1 - _WAITING_SHARE)
        if _is_continued(body, former):
            queued *= switches.continuation_share
    if not body.get("background"):
        # Who waits for the whole answer need not wait long, unless a script or a fault says so.
        queued, running = 0.0, running if body.get("stream") else 0.0
    queued = float(then.get("queued_seconds", queued / switches.speed))
    running = float(then.get("running_seconds", running / switches.speed))
    if slow is not None and slow.name == "late_window":
        return queued, max(running, (window or 0.0) + float(slow.values.get("seconds", 600)) - queued)
    return queued, running + (float(slow.values.get("seconds", 60)) if slow else 0.0)


def _is_continued(body: Mapping[str, Any], former: Iterable[Run]) -> bool:
    """Whether an earlier run has the same window, continuation and model."""
    mine = _continuation(body)
    return mine is not None and any(_continuation(run.body) == mine for run in former)


def _continuation(body: Mapping[str, Any]) -> tuple[Any, Any, Any] | None:
    options = as_object(body.get("background_options"))
    if options.get("continuation_id") is None:
        return None
    return options.get("completion_window"), options["continuation_id"], body.get("model")

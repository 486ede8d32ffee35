"""Counts from the truth log and the runs: what was asked, what was bought, what was bought twice. It only reads."""

from collections.abc import Mapping, Sequence
from typing import Any

from backlane.simulator.runs import TERMINAL, Run
from backlane.simulator.values import as_object

_COUNTED = {
    "creates": "create",
    "retrieves": "retrieve",
    "streams": "stream",
    "cancels": "cancel",
    "deletes": "delete",
    "batches": "batch",
    "webhooks": "webhook",
    "input_items": "input_items",
}


def stats_of(log: Sequence[Mapping[str, Any]], runs: Sequence[Run], now: float) -> dict[str, Any]:
    """Counts by call, runs by status, and every attempt that was bought more than once."""
    calls = [str(line["call"]) for line in log]
    counts = {name: calls.count(call) for name, call in _COUNTED.items()}
    bought: dict[str, list[str]] = {}
    statuses: dict[str, int] = {}
    for run in runs:
        attempt = as_object(run.body.get("metadata")).get("backlane_attempt")
        if attempt is not None:
            bought.setdefault(str(attempt), []).append(run.id)
        status = run.status(now)
        statuses[status] = statuses.get(status, 0) + 1
    twice = {attempt: ids for attempt, ids in sorted(bought.items()) if len(ids) > 1}
    return {
        **counts,
        "calls": len(calls),
        "accepted": len(runs),
        "refused": counts["creates"] - len(runs),
        "lost_replies": sum(line["reply"] == "lost" for line in log),
        "duplicates": sum(len(ids) - 1 for ids in twice.values()),
        "duplicated_attempts": sorted(twice),
        "duplicate_runs": [
            {"backlane_attempt": attempt, "response_ids": ids} for attempt, ids in twice.items()
        ],
        "open_streams": sum(line.get("stream_ended") == "open" for line in log),
        "in_flight": sum(count for status, count in statuses.items() if status not in TERMINAL),
        "deleted": sum(run.deleted for run in runs),
        "runs": statuses,
    }

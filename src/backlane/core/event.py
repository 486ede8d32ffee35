"""What happened to a job, as rows: the closed list of event types, and the times computed from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

EVENT_TYPES = [
    "job.submitted",
    "job.started",
    "job.waiting",
    "job.needs_review",
    "job.released",
    "job.completed",
    "job.failed",
    "job.canceled",
    "job.expired",
    "job.archived",
    "job.unarchived",
    "job.noted",
    "job.messaged",
    "job.retried",
    "job.cancel_requested",
    "job.requeued",
    "job.phase_changed",
    "job.resolved",
    "job.escalated",
    "job.held",
    "job.unheld",
    "job.tightened",
    "check.started",
    "check.finished",
    "attempt.planned",
    "attempt.sent",
    "attempt.accepted",
    "attempt.unknown",
    "attempt.adopted",
    "attempt.finished",
    "attempt.refused",
    "lane.chosen",
    "lane.changed",
    "lane.held",
    "lane.released",
    "alert.raised",
    "alert.cleared",
    "output.delta",
    "output.reset",
    "output.final",
    "artifact.added",
    "tool.called",
    "tool.answered",
    "review.opened",
    "review.claimed",
    "review.decided",
    "review.escalated",
    "review.expired",
    "action.proposed",
    "action.approved",
    "action.dispatched",
    "action.succeeded",
    "action.failed",
    "action.unknown",
    "action.resolved",
    "action.undone",
    "cost.settled",
    "budget.held",
    "budget.lifted",
    "case.opened",
    "case.closed",
]

# What a reader outside the release gate may see of an event's data; the rest holds, or tells of,
# what a model or tool wrote. Names not listed here are dropped for them (deny by default).
OPEN_KEYS = frozenset(
    {
        "before", "after", "attempt", "number", "reason", "lane", "code", "cause", "kind", "review",
        "retry_at", "choice", "provider_response_id", "retried_as", "retry_of", "continues",
        "goes_on_from", "continued_as", "artifact", "amount",
        "currency", "basis", "type", "check", "useful_until", "state", "inferred", "until", "status",
        "verdict", "role", "version", "account", "probe", "decision", "edited", "revision", "case", "note",
        "for_requester", "action", "origin", "budget",
    }
)  # fmt: skip

# What is open elsewhere and closed in these: an action's type may be a remote server's own word for its tool.
_CLOSED_IN: Mapping[str, frozenset[str]] = MappingProxyType({"action.proposed": frozenset({"type"})})


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, not yet numbered. `at` is milliseconds since 1970 UTC."""

    type: str
    at: int
    actor: str
    data: Mapping[str, Any]


class Change(NamedTuple):
    """A job's status and phase from one moment on."""

    at: int
    status: str
    phase: str | None


_PARTS: tuple[str, ...] = (
    "queued_seconds",
    "provider_queued_seconds",
    "model_seconds",
    "tool_seconds",
    "check_seconds",
    "review_seconds",
    "action_seconds",
    "overhead_seconds",
)


def part_of(status: str, phase: str | None) -> str:
    """Which part of the wall time a status and phase count towards."""
    if phase == "canceling":
        return "overhead_seconds"
    if status == "queued":
        return "provider_queued_seconds" if phase == "provider" else "queued_seconds"
    if status == "needs_review":
        return "review_seconds"
    return f"{phase}_seconds"


def timing(changes: Sequence[Change], now: int) -> dict[str, float | None]:
    """Where a job's wall time went, in seconds; the parts sum to it exactly (in milliseconds).

    `changes` are in order; the last one, if terminal (phase None), ends the count.
    """
    spent: dict[str, int] = dict.fromkeys(_PARTS, 0)
    seen_review = any(change.status == "needs_review" for change in changes)
    for index, change in enumerate(changes):
        if change.phase is None:
            break
        until = changes[index + 1].at if index + 1 < len(changes) else max(now, change.at)
        spent[part_of(change.status, change.phase)] += until - change.at
    parts: dict[str, float | None] = {name: value / 1000 for name, value in spent.items()}
    if not seen_review:
        parts["review_seconds"] = None
    return parts


def closed_data(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of an event of this type as a reader outside the release gate sees it."""
    closed = _CLOSED_IN.get(kind, frozenset[str]())
    return {key: value for key, value in data.items() if key in OPEN_KEYS and key not in closed}

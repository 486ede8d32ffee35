"""Statuses, commands and the one table that decides a job's life. Pure.

Rule 1: a status is assigned only by `apply`. Rule 2: what is not in TABLE cannot happen.
Sets of statuses, the buttons, the diagram and `allowed` are computed from here, never typed again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job, Phase, Status
from backlane.errors import NotAllowed


class Command(StrEnum):
    """What may be asked of a job's lifecycle. Imperative; the event it leaves is in the past tense."""

    SUBMIT = "submit"
    WAIT = "wait"
    SEND = "send"
    START = "start"
    PROCEED = "proceed"
    REQUEUE = "requeue"
    OPEN_REVIEW = "open_review"
    FINISH_UNREVIEWED = "finish_unreviewed"
    APPROVE = "approve"
    REQUEST_CHANGES = "request_changes"
    RECHECK = "recheck"
    ACT = "act"
    REQUEST_CANCEL = "request_cancel"
    CONFIRM_CANCELED = "confirm_canceled"
    BEGIN_EXPIRY = "begin_expiry"
    EXPIRE = "expire"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: from which status to which, into which phases, leaving which event."""

    moves: Mapping[Status | None, Status]
    phases: frozenset[Phase | None]
    event: str
    says: str


_OPEN = (Status.QUEUED, Status.RUNNING, Status.NEEDS_REVIEW)
_ENDED: frozenset[Phase | None] = frozenset({None})


def _to(target: Status, *sources: Status) -> Mapping[Status | None, Status]:
    return MappingProxyType(dict.fromkeys(sources, target))


def _stay(*sources: Status) -> Mapping[Status | None, Status]:
    return MappingProxyType({source: source for source in sources})


TABLE: Mapping[Command, Row] = MappingProxyType(
    {
        Command.SUBMIT: Row(
            MappingProxyType({None: Status.QUEUED}),
            frozenset({Phase.READY}),
            "job.submitted",
            "the record is made, before any model is called",
        ),
        Command.WAIT: Row(
            _stay(Status.QUEUED),
            frozenset({Phase.READY, Phase.RETRY, Phase.BUDGET, Phase.CAPACITY, Phase.INCIDENT, Phase.BATCH}),
            "job.waiting",
            "it waits for a timer, for capacity, for an incident to pass",
        ),
        Command.SEND: Row(
            _stay(Status.QUEUED),
            frozenset({Phase.PROVIDER}),
            "job.phase_changed",
            "the run is about to be sent; it is with the provider now",
        ),
        Command.START: Row(
            _to(Status.RUNNING, Status.QUEUED),
            frozenset({Phase.MODEL, Phase.TOOL, Phase.CHECK, Phase.ACTION}),
            "job.started",
            "the provider works on it",
        ),
        Command.PROCEED: Row(
            _stay(Status.RUNNING),
            frozenset({Phase.MODEL, Phase.TOOL, Phase.CHECK, Phase.ACTION}),
            "job.phase_changed",
            "it goes on to its next step",
        ),
        Command.REQUEUE: Row(
            _to(Status.QUEUED, Status.RUNNING, Status.NEEDS_REVIEW),
            frozenset({Phase.READY, Phase.RETRY, Phase.PROVIDER, Phase.INCIDENT, Phase.CAPACITY}),
            "job.requeued",
            "a new attempt is wanted, or a lost run was found",
        ),
        Command.OPEN_REVIEW: Row(
            _to(Status.NEEDS_REVIEW, Status.QUEUED, Status.RUNNING),
            frozenset(
                {
                    Phase.OUTPUT,
                    Phase.ACTION,
                    Phase.SENSITIVE,
                    Phase.SAMPLED,
                    Phase.EFFECT_UNKNOWN,
                    Phase.SUBMISSION_UNKNOWN,
                    Phase.BUDGET,
                }
            ),
            "job.needs_review",
            "a person must look before it goes on",
        ),
        Command.FINISH_UNREVIEWED: Row(
            _to(Status.COMPLETED, Status.RUNNING),
            _ENDED,
            "job.completed",
            "the answer is stored and no review was asked",
        ),
        Command.APPROVE: Row(
            _to(Status.COMPLETED, Status.NEEDS_REVIEW, Status.RUNNING),
            _ENDED,
            "job.completed",
            "a person approved exactly what was shown, and it is released",
        ),
        Command.REQUEST_CHANGES: Row(
            _to(Status.QUEUED, Status.NEEDS_REVIEW),
            frozenset({Phase.READY}),
            "job.requeued",
            "a person sent it back with a note; the model is to write it anew",
        ),
        Command.RECHECK: Row(
            _to(Status.RUNNING, Status.NEEDS_REVIEW),
            frozenset({Phase.CHECK}),
            "job.phase_changed",
            "a reviewer's edited version is checked before it is released",
        ),
        Command.ACT: Row(
            _to(Status.RUNNING, Status.NEEDS_REVIEW),
            frozenset({Phase.ACTION}),
            "job.phase_changed",
            "an action was approved, or what became of one was found out; its turn comes",
        ),
        Command.REQUEST_CANCEL: Row(
            _stay(*_OPEN),
            frozenset({Phase.CANCELING}),
            "job.cancel_requested",
            "a person wants it stopped; the provider must confirm",
        ),
        Command.CONFIRM_CANCELED: Row(_to(Status.CANCELED, *_OPEN), _ENDED, "job.canceled", "it is stopped"),
        Command.BEGIN_EXPIRY: Row(
            _stay(*_OPEN),
            frozenset({Phase.CANCELING}),
            "job.phase_changed",
            "the useful window ended; the provider must confirm the stop",
        ),
        Command.EXPIRE: Row(_to(Status.EXPIRED, *_OPEN), _ENDED, "job.expired", "the useful window passed"),
        Command.FAIL: Row(_to(Status.FAILED, *_OPEN), _ENDED, "job.failed", "it cannot be completed"),
    }
)

STATUSES = tuple(Status)
# A status nothing leads out of is terminal; everything else is open.
OPEN = frozenset(source for row in TABLE.values() for source in row.moves if source is not None)
TERMINAL = frozenset(STATUSES) - OPEN
# Each change of status or phase leaves exactly one of these events.
CHANGE_EVENTS = frozenset(row.event for row in TABLE.values())


def target(command: Command, status: Status | None) -> Status:
    """Where the table leads from here. Raises NotAllowed for a pair that is not in it."""
    moves = TABLE[command].moves
    if status not in moves:
        raise NotAllowed(status or "not yet made", command)
    return moves[status]


def apply(
    job: Job,
    command: Command,
    now: int,
    *,
    phase: Phase | None = None,
    actor: str = "system",
    data: Mapping[str, Any] | None = None,
    at: int | None = None,
) -> tuple[Job, Event]:
    """Carry out one command: the changed job and the one event that says so.

    `now` and `at` are milliseconds since 1970 UTC; `at` dates a change that was observed late.
    Raises NotAllowed for a pair that is not in the table, ValueError for a phase the row does not lead to.
    """
    row = TABLE[command]
    before = None if command is Command.SUBMIT else job.status
    after = target(command, before)
    if phase not in row.phases:
        raise ValueError(f"{command} does not lead to phase {phase}")
    when = now if at is None else at
    changed = replace(
        job,
        status=after,
        phase=phase,
        phase_since=when,
        started_at=when if command is Command.START and job.started_at is None else job.started_at,
        finished_at=when if after in TERMINAL else job.finished_at,
    )
    body: dict[str, Any] = {
        "before": None if before is None else {"status": before, "phase": job.phase},
        "after": {"status": after, "phase": phase},
    }
    return changed, Event(row.event, when, actor, {**(data or {}), **body})

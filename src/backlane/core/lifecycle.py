"""Statuses, commands and the one table that decides a job's life. Pure.

Rule 1: a status is assigned only by `apply`. Rule 2: what is not in TABLE cannot happen.
Sets of statuses, the buttons, the diagram and `allowed` are computed from here, never typed again.
"""

from collections.abc import Callable, Mapping
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
CANCELLABLE = frozenset(source for source in TABLE[Command.REQUEST_CANCEL].moves if source is not None)
# Each change of status or phase leaves exactly one of these events.
CHANGE_EVENTS = frozenset(row.event for row in TABLE.values())


@dataclass(frozen=True, slots=True)
class Verb:
    """A control verb of the public contract: who may use it, from where."""

    statuses: frozenset[Status]
    who: frozenset[str]
    phases: frozenset[Phase] | None = None
    not_phases: frozenset[Phase] = frozenset()
    mark: str | None = None  # a key of _MARKS: what stands beside the status


# What stands beside a job's status, in words.
_MARKS: Mapping[str, Callable[[Job], bool]] = MappingProxyType(
    {
        "archived": lambda job: job.archived_at is not None,
        "not archived": lambda job: job.archived_at is None,
        "held": lambda job: job.held,
        "not held": lambda job: not job.held,
    }
)
_DECIDED_IN = frozenset({Phase.OUTPUT, Phase.ACTION, Phase.SENSITIVE, Phase.SAMPLED})
_DECISION = Verb(frozenset({Status.NEEDS_REVIEW}), frozenset({"reviewer"}), phases=_DECIDED_IN)
_OWNERS = frozenset({"requester", "operator"})
_OPERATOR = frozenset({"operator"})
# Who: "requester" is the job's own submitter, "operator" includes admins, "reviewer" is whoever may
# decide the open review: its role, duties separated; "onlooker" is a reviewer who has the job in sight
# because it is or was under review for their role.
VERBS: Mapping[str, Verb] = MappingProxyType(
    {
        "cancel": Verb(
            CANCELLABLE,
            _OWNERS,
            not_phases=frozenset({Phase.EFFECT_UNKNOWN}),
        ),
        "approve": _DECISION,
        "reject": _DECISION,
        "retry": Verb(TERMINAL, _OWNERS),
        "resolve": Verb(
            frozenset({Status.NEEDS_REVIEW}),
            _OPERATOR,
            phases=frozenset({Phase.SUBMISSION_UNKNOWN}),
        ),
        "escalate": Verb(OPEN | {Status.FAILED, Status.EXPIRED}, _OWNERS | {"onlooker"}),
        "archive": Verb(TERMINAL, _OWNERS, mark="not archived"),
        "unarchive": Verb(TERMINAL, _OWNERS, mark="archived"),
        "hold": Verb(frozenset(STATUSES), _OPERATOR, mark="not held"),
        "release": Verb(frozenset(STATUSES), _OPERATOR, mark="held"),
    }
)


def allows(verb: str, status: Status, phase: Phase | None) -> bool:
    """Whether a job in this status and phase allows the verb, whoever asks."""
    rule = VERBS[verb]
    if status not in rule.statuses or phase in rule.not_phases:
        return False
    return rule.phases is None or phase in rule.phases


def open_to(verb: str, job: Job) -> bool:
    """Whether this very job, with what stands beside its status, allows the verb, whoever asks."""
    mark = VERBS[verb].mark
    return allows(verb, job.status, job.phase) and (mark is None or _MARKS[mark](job))


def allowed(
    job: Job, who: frozenset[str], who_may_cancel: str = "requester", *, in_doubt: bool = False
) -> list[str]:
    """The verbs this caller may use on this job now, in the table's order.

    `who` holds what the caller is to the job, in the words of the table's "who".
    A type whose `who_may_cancel` is "operator" takes cancel from its requesters. While an action is
    `in_doubt` (dispatching, or its effect unknown) nothing is canceled.
    """
    found: list[str] = []
    for verb, rule in VERBS.items():
        may = rule.who & who
        if verb == "cancel" and who_may_cancel == "operator":
            may = may & {"operator"}
        if verb == "cancel" and in_doubt:
            continue
        if may and open_to(verb, job):
            found.append(verb)
    return found


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

"""What a job and an attempt are: frozen values. They hold facts and decide nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """The seven statuses a user sees."""

    QUEUED = "queued"
    RUNNING = "running"
    NEEDS_REVIEW = "needs_review"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class Phase(StrEnum):
    """Why an open job is in its status, in one word."""

    READY = "ready"
    PROVIDER = "provider"
    BATCH = "batch"
    RETRY = "retry"
    BUDGET = "budget"
    CAPACITY = "capacity"
    INCIDENT = "incident"
    MODEL = "model"
    TOOL = "tool"
    CHECK = "check"
    ACTION = "action"
    OUTPUT = "output"
    SENSITIVE = "sensitive"
    SAMPLED = "sampled"
    EFFECT_UNKNOWN = "effect_unknown"
    SUBMISSION_UNKNOWN = "submission_unknown"
    CANCELING = "canceling"


class AttemptState(StrEnum):
    """How far one purchase at the provider has come, as far as we know."""

    PLANNED = "planned"
    SENDING = "sending"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"
    INCOMPLETE = "incomplete"
    CANCELED = "canceled"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    GONE = "gone"


# The provider may be working for us on these, or may be about to.
OUT = frozenset({AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.ACCEPTED})
# Nobody knows whether these reached the provider; nothing sends them again.
IN_DOUBT = frozenset({AttemptState.SENDING, AttemptState.UNKNOWN})


# An attempt known only from a restored backup has this as its sender; the code of one nobody can know of.
RESTORED = "restored"
# The code of an interactive run that was lost with its stream; of one that a person's words stopped.
STREAM_LOST = "stream_lost"
STEERED = "steered"


class AttemptReason(StrEnum):
    """Why an attempt was made."""

    FIRST = "first"
    PROVEN_UNSENT = "proven_unsent"
    REFUSED = "refused"
    PROVIDER_FAILED = "provider_failed"
    REBUY = "rebuy"
    LANE_CHANGED = "lane_changed"
    NEXT_TURN = "next_turn"
    CHANGES_REQUESTED = "changes_requested"
    PERSON = "person"


class Gate(StrEnum):
    """What stands between a finished run and its release; decided at submit and stored, later only made stricter.

    With `policy` a policy or a hook over the output has the word; whatever it does not open, a person decides.
    """

    NONE = "none"
    POLICY = "policy"
    SAMPLED = "sampled"
    OUTPUT = "output"
    SENSITIVE = "sensitive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """The hot row of a job. Times are milliseconds since 1970 UTC.

    `version` guards every write; `lease_no` fences workers; `due_at` is when a worker should look
    again (None: nothing to do until a person or a fact wakes it). `sensitive` says what made it so;
    events from number `closed_from` on are behind a gate that was closed while it was open.
    """

    id: str
    workspace: str
    submitted_by: str
    user: str | None
    account: str | None
    type: str
    type_version: str
    authority: str
    summary: str
    simulated: bool
    status: Status
    phase: Phase | None
    phase_since: int
    version: int
    lease_no: int
    lease_state: str
    leases_lost: int
    due_at: int | None
    lane: str
    live: bool
    window: str
    provider: str
    provider_account: str
    provider_response_id: str | None
    gate: Gate
    review_state: str
    inputs_digest: str
    priority: int
    wait_until: int | None
    useful_until: int
    deadline: int | None
    max_cost: str | None
    tries: int
    ends_as: str | None
    cancel_asked_at: int | None
    failure: dict[str, Any] | None
    created_at: int
    started_at: int | None
    finished_at: int | None
    group_id: str | None
    retry_of: str | None
    retried_as: str | None
    continues: str | None
    case_id: str | None
    archived_at: int | None
    held: bool
    released: str | None = None
    sensitive: str | None = None
    closed_from: int | None = None
    sent_back_seq: int | None = None
    budget: str | None = None
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    lane_reasons: list[dict[str, str]] = field(default_factory=list[dict[str, str]])


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One purchase at the provider: its intent, what became of it, and its price."""

    id: str
    job_id: str
    workspace: str
    number: int
    reason: AttemptReason
    state: AttemptState
    lane: str
    provider_account: str
    provider_response_id: str | None
    provider_status: str | None
    model: str | None
    sender: str | None
    planned_at: int
    sent_at: int | None
    unknown_at: int | None
    accepted_at: int | None
    looked_at: int | None
    look_at: int | None
    looks: int
    cancel_sent_at: int | None
    finished_at: int | None
    code: str | None
    usage: dict[str, Any] | None
    window: str = "soonest"
    stray: bool = False
    stream_state: str | None = None
    stream_seq: int | None = None
    stream_tries: int = 0

    @property
    def interactive(self) -> bool:
        """Whether a worker holds the run by its stream: nobody else can take it up."""
        return self.lane == "interactive"


def is_out(attempt: Attempt | None) -> bool:
    """Whether the provider may be working on this attempt."""
    return attempt is not None and attempt.state in OUT


def newest_of(attempts: Sequence[Attempt]) -> Attempt | None:
    """The attempt the job is about: the newest one that is no second purchase of another."""
    return next((one for one in reversed(attempts) if not one.stray), None)

"""What the services ask of the database, as Protocols: named reads and guarded writes, nothing of SQL."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from backlane.core.event import Change, Event
from backlane.core.job import Attempt, Job
from backlane.core.ports import Due
from backlane.core.storage_actions import ActionStorage
from backlane.core.storage_budgets import BudgetStorage
from backlane.core.storage_case import CaseStorage
from backlane.core.storage_files import FileTransaction
from backlane.core.storage_hooks import InboxTransaction
from backlane.core.storage_lanes import LaneRecords
from backlane.core.storage_live import LiveTransaction
from backlane.core.storage_messages import MessageTransaction
from backlane.core.storage_policy import PolicyStorage
from backlane.core.storage_review import ReviewStorage
from backlane.core.storage_tools import ToolTransaction

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Search:
    """Which jobs a list shows. `submitted_by` narrows it to what the caller may see."""

    workspace: str
    submitted_by: str | None = None
    reviewed_by: str | None = None  # a role: jobs that are or were under its review, besides one's own
    statuses: tuple[str, ...] = ()
    type: str | None = None
    user: str | None = None
    account: str | None = None
    lane: str | None = None
    phase: str | None = None
    group: str | None = None
    archived: bool | None = False
    text: str | None = None
    ids: frozenset[str] | None = None  # only these, and those in place of these
    created_after: int | None = None
    oldest_first: bool = False
    after: tuple[int, str] | None = None  # the (created_at, id) the former page ended with
    limit: int = 50


class Transaction(
    ActionStorage,
    BudgetStorage,
    CaseStorage,
    ReviewStorage,
    FileTransaction,
    InboxTransaction,
    LiveTransaction,
    ToolTransaction,
    LaneRecords,
    MessageTransaction,
    PolicyStorage,
    Protocol,
):
    """One transaction. Never call the outside from here."""

    # jobs
    def job(self, job_id: str, *, lock: bool = False) -> Job | None:
        """A job by id; `lock` keeps others from changing it until this transaction ends."""
        ...

    def insert_job(self, job: Job, inputs: str, first: Sequence[Event]) -> None: ...
    def save(
        self,
        before: Job,
        after: Job,
        events: Sequence[Event],
        *,
        lease_no: int | None = None,
        release: bool = True,
    ) -> Job:
        """Write job and events together, guarded by version (and lease). Raises StaleJob.

        `release` gives the lease back; without it the worker goes on with the job it holds.
        """
        ...

    def wake(self, job_id: str, now: int) -> None:
        """Make the job due now, so that somebody looks at a fact that was just kept."""
        ...

    def mark_retried(self, job: Job, retried_as: str) -> bool:
        """Note the job's one retry; whether this call noted it."""
        ...

    def inputs(self, job_id: str) -> str: ...
    def search(self, search: Search) -> list[Job]: ...

    # leases
    def due(self, now: int, n: int) -> list[tuple[Due, bool]]:
        """Due jobs, soonest first, and for each whether it lost a lease (and must run alone)."""
        ...

    def claim(self, ids: Sequence[str], now: int, until: int) -> list[Due]: ...
    def take(self, due: Due) -> Job | None: ...
    def renew(self, due: Due, until: int) -> bool: ...
    def give_back(self, due: Due, now: int) -> bool: ...
    def end_leases(self, now: int) -> int: ...
    def next_due(self) -> int | None: ...
    def leases(self, now: int) -> int:
        """How many jobs a worker holds now."""
        ...

    # events
    def keep_events(self, job_id: str, events: Sequence[Event]) -> None:
        """Append events that tell of facts; they change no status."""
        ...

    def events(self, job_id: str, after: int, limit: int) -> list[Row]: ...
    def changes(self, job_ids: Sequence[str]) -> dict[str, list[Change]]: ...
    def newest_events(self, job_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Per job the newest event's number and time."""
        ...

    def finished_checks(self, job_id: str, result_id: str) -> list[str]:
        """The checks that have looked at this result."""
        ...

    def workspace_event(self, workspace: str, event: Event) -> None: ...

    # attempts
    def attempts(self, job_id: str) -> list[Attempt]: ...
    def attempts_of(self, job_ids: Sequence[str]) -> dict[str, list[Attempt]]: ...
    def attempt(self, attempt_id: str) -> Attempt | None: ...
    def insert_attempt(self, attempt: Attempt) -> None: ...
    def move_attempt(self, attempt_id: str, sources: Sequence[str], **changes: Any) -> bool:
        """Change an attempt if its state is one of `sources`; whether it was."""
        ...

    def keep_response_id(self, attempt_id: str, response_id: str) -> bool:
        """Keep a provider id where none is kept yet; whether this was the first."""
        ...

    def keep_answer(self, attempt_id: str, job_id: str, body: str) -> None: ...
    def kept_answer(self, attempt_id: str) -> str | None: ...
    def drop_answer(self, attempt_id: str) -> None: ...

    # money
    def keep_cost(self, line: Mapping[str, Any]) -> bool:
        """Book a cost line once per attempt; whether this call booked it."""
        ...

    def cost_lines(self, job_id: str) -> list[Row]: ...
    def cost_lines_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]: ...
    def average_cost(self, workspace: str, type_name: str) -> Decimal | None:
        """The mean of a type's newest priced attempts, None before the first."""
        ...

    # durations
    def durations(self, workspace: str, type_name: str, model: str, lane: str) -> list[int]:
        """The newest runs' lengths of one kind, milliseconds, oldest first."""
        ...

    def keep_durations(
        self, workspace: str, type_name: str, model: str, lane: str, *, sample: list[int], now: int
    ) -> None: ...
    def durations_of(self, workspace: str, types: Sequence[str]) -> list[Row]:
        """Every kind of run of some types, the one that ended last first."""
        ...

    # outputs
    def insert_artifact(self, artifact: Mapping[str, Any]) -> None: ...
    def artifacts(self, job_id: str) -> list[Row]: ...
    def artifacts_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]: ...
    def artifact(self, artifact_id: str) -> Row | None: ...

    # incidents
    def newest_ends(self, workspace: str, type_name: str, n: int) -> list[Row]:
        """Status and failure of a type's jobs that ended last, the newest first."""
        ...

    def incident(self, account: str, lane: str) -> Row | None: ...
    def incidents(self) -> list[Row]: ...
    def raise_incident(self, incident: Mapping[str, Any]) -> bool: ...
    def clear_incident(self, account: str, lane: str) -> bool: ...

    # people
    def workspace(self, name: str) -> Row | None: ...
    def workspaces(self) -> list[Row]: ...
    def insert_workspace(self, row: Mapping[str, Any]) -> None: ...
    def principal(self, workspace: str, name: str) -> Row | None: ...
    def insert_principal(self, row: Mapping[str, Any]) -> None: ...
    def insert_key(self, row: Mapping[str, Any]) -> None: ...
    def key(self, key_hash: str) -> Row | None: ...
    def keys(self) -> list[Row]: ...
    def revoke_key(self, key_id: str, now: int) -> bool: ...
    def live_key(self, key_id: str, now: int) -> Row | None:
        """A key that is neither revoked nor expired, with whose it is."""
        ...

    def touch_key(self, key_id: str, now: int) -> None: ...
    def used_key(self, workspace: str, submitted_by: str, key: str) -> tuple[str, str] | None:
        """The body hash and job of an idempotency key that was used before."""
        ...

    def use_key(self, row: Mapping[str, Any]) -> bool:
        """Note an idempotency key; False if another request was faster."""
        ...

    def audit(self, line: Mapping[str, Any]) -> None: ...


class Store(Protocol):
    """The database: transactions, and nothing of SQL."""

    async def write(self, body: Callable[[Transaction], T]) -> T:
        """Run one member of a group commit; answers only after COMMIT returned."""
        ...

    async def read(self, body: Callable[[Transaction], T]) -> T: ...

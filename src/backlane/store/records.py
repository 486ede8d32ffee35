"""A transaction's named reads and guarded writes over jobs, attempts, events and leases.

Status and event are written together or not at all; a write on a stale version raises StaleJob.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam

from backlane.core.event import Change, Event
from backlane.core.job import Attempt, AttemptReason, AttemptState, Gate, Job, Phase, Status
from backlane.core.lifecycle import CHANGE_EVENTS
from backlane.core.ports import Due, Ids
from backlane.core.storage import Row
from backlane.errors import StaleJob
from backlane.store import queries
from backlane.store.chain import GENESIS, canonical, link, sha256
from backlane.store.dialects import Dialect

# Leases of jobs that are not thought to have stopped their worker.
_UNSUSPECTED = frozenset({"free", "listening"})
_GUARDS = frozenset({"id", "version", "lease_no"})
_FIELDS = tuple(field.name for field in fields(Job) if field.name not in _GUARDS)


def job_of(row: Mapping[str, Any]) -> Job:
    """A stored row as the value the core works with."""
    values = dict(row)
    values["status"] = Status(values["status"])
    values["phase"] = None if values["phase"] is None else Phase(values["phase"])
    values["gate"] = Gate(values["gate"])
    return Job(**values)


def attempt_of(row: Mapping[str, Any]) -> Attempt:
    """A stored row as the value the core works with."""
    values = dict(row)
    values["state"] = AttemptState(values["state"])
    values["reason"] = AttemptReason(values["reason"])
    return Attempt(**values)


def _at_version(told: Sequence[Event], version: int) -> list[Event]:
    """A write's first change says which version of the row it made: two writers of one version would show."""
    first = next((event for event in told if "after" in event.data), None)
    marked = None if first is None else replace(first, data={**first.data, "version": version})
    return [marked if marked is not None and event is first else event for event in told]


def _columns(value: Job | Attempt) -> dict[str, Any]:
    """A value's fields as they are; `asdict` would copy everything below them too."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


@lru_cache(maxsize=512)
def _set_columns(statement: Update, names: tuple[str, ...]) -> Update:
    return statement.values({name: bindparam(f"set_{name}") for name in names})


def setting(
    statement: Update, changes: Mapping[str, Any], where: Mapping[str, Any]
) -> tuple[Update, dict[str, Any]]:
    """An update of these columns and its parameters. Each set of columns is built once, not at every write."""
    values = {f"set_{name}": value for name, value in changes.items()}
    return _set_columns(statement, tuple(changes)), {**values, **where}


class JobRecords:
    """The part of a transaction that is about jobs."""

    def __init__(self, connection: Connection, dialect: Dialect, ids: Ids) -> None:
        self._connection = connection
        self._dialect = dialect
        self._ids = ids
        self.told: set[str] = set()  # the jobs that events were appended to

    def _one(self, statement: Any, **values: Any) -> Row | None:
        row = self._connection.execute(statement, values).mappings().first()
        return None if row is None else dict(row)

    def _all(self, statement: Any, **values: Any) -> list[Row]:
        return [dict(row) for row in self._connection.execute(statement, values).mappings()]

    def _by_job(self, statement: Any, job_ids: Sequence[str], **values: Any) -> dict[str, list[Row]]:
        found: dict[str, list[Row]] = {job_id: [] for job_id in job_ids}
        for row in self._all(statement, ids=list(job_ids), **values):
            found[row["job_id"]].append(row)
        return found

    def _changed(self, statement: Any, **values: Any) -> bool:
        return self._connection.execute(statement, values).rowcount > 0

    # jobs

    def job(self, job_id: str, *, lock: bool = False) -> Job | None:
        statement = self._dialect.lock_row(queries.JOB) if lock else queries.JOB
        row = self._one(statement, job_id=job_id)
        return None if row is None else job_of(row)

    def insert_job(self, job: Job, inputs: str, first: Sequence[Event]) -> None:
        self._connection.execute(queries.INSERT_JOB, _columns(job))
        self._connection.execute(queries.INSERT_INPUTS, {"job_id": job.id, "body": inputs})
        self._append(job.workspace, job.id, 0, GENESIS, _at_version(first, job.version))

    def save(
        self,
        before: Job,
        after: Job,
        events: Sequence[Event],
        *,
        lease_no: int | None = None,
        release: bool = True,
    ) -> Job:
        changed = {
            name: getattr(after, name) for name in _FIELDS if getattr(after, name) != getattr(before, name)
        }
        changed["version"] = before.version + 1
        changed["lease_state"] = "free" if release else "progressed"
        changed["leases_lost"] = 0
        if release:
            changed["due_at"] = after.due_at
        guards: dict[str, Any] = {"at_id": before.id, "at_version": before.version}
        statement = queries.SAVE_JOB
        if lease_no is not None:
            statement, guards["at_lease_no"] = queries.SAVE_LEASED_JOB, lease_no
        if self._connection.execute(*setting(statement, changed, guards)).rowcount != 1:
            raise StaleJob(before.id)
        if events:
            version = before.version + 1
            self._append_to(before.workspace, before.id, _at_version(events, version))
        return replace(after, **changed)

    def wake(self, job_id: str, now: int) -> None:
        version = self._lock(job_id)["version"]
        self._changed(queries.WAKE_JOB, at_id=job_id, at_version=version, now=now)

    def mark_retried(self, job: Job, retried_as: str) -> bool:
        return self._changed(
            queries.SET_RETRIED_AS, at_id=job.id, at_version=job.version, retried_as_id=retried_as
        )

    def inputs(self, job_id: str) -> str:
        row = self._one(queries.INPUTS, job_id=job_id)
        assert row is not None, job_id
        return row["body"]

    # leases

    def due(self, now: int, n: int) -> list[tuple[Due, bool]]:
        rows = self._all(self._dialect.claimable(queries.DUE_JOBS), now=now, n=n)
        return [
            (
                Due(row["id"], row["lease_no"]),
                row["leases_lost"] > 0 or row["lease_state"] not in _UNSUSPECTED,
            )
            for row in rows
        ]

    def claim(self, ids: Sequence[str], now: int, until: int) -> list[Due]:
        rows = {row["id"]: row for row in self._all(queries.CLAIM_JOBS, ids=list(ids), now=now, until=until)}
        return [Due(job_id, rows[job_id]["lease_no"]) for job_id in ids if job_id in rows]

    def take(self, due: Due) -> Job | None:
        row = self._one(queries.TAKE_JOB, at_id=due.job_id, at_lease_no=due.lease_no)
        return None if row is None else job_of(row)

    def renew(self, due: Due, until: int) -> bool:
        return self._changed(queries.RENEW_LEASE, at_id=due.job_id, at_lease_no=due.lease_no, until=until)

    def give_back(self, due: Due, now: int) -> bool:
        return self._changed(queries.GIVE_BACK, at_id=due.job_id, at_lease_no=due.lease_no, now=now)

    def end_leases(self, now: int) -> int:
        return self._connection.execute(queries.END_LEASES, {"now": now}).rowcount

    def leases(self, now: int) -> int:
        return int(self._connection.execute(queries.LEASES, {"now": now}).scalar() or 0)

    def next_due(self) -> int | None:
        return self._connection.execute(queries.NEXT_DUE).scalar()

    # events

    def keep_events(self, job_id: str, events: Sequence[Event]) -> None:
        self._append_to(self._lock(job_id)["workspace"], job_id, events)

    def events(self, job_id: str, after: int, limit: int) -> list[Row]:
        return self._all(queries.EVENTS_AFTER, job_id=job_id, after=after, n=limit)

    def changes(self, job_ids: Sequence[str]) -> dict[str, list[Change]]:
        rows = self._by_job(queries.CHANGES_OF, job_ids, types=sorted(CHANGE_EVENTS))
        found: dict[str, list[Change]] = {}
        for job_id, told in rows.items():
            after = [(row["at"], json.loads(row["data"] or "{}").get("after")) for row in told]
            found[job_id] = [Change(at, to["status"], to["phase"]) for at, to in after if to is not None]
        return found

    def newest_events(self, job_ids: Sequence[str]) -> dict[str, tuple[int, int]]:
        rows = self._all(queries.NEWEST_EVENTS, ids=list(job_ids))
        return {row["job_id"]: (row["seq"], row["at"]) for row in rows}

    def finished_checks(self, job_id: str, result_id: str) -> list[str]:
        told = [json.loads(row["data"] or "{}") for row in self._all(queries.CHECKS_FINISHED, job_id=job_id)]
        return [data["check"] for data in told if data.get("artifact") == result_id]

    def workspace_event(self, workspace: str, event: Event) -> None:
        self._append(workspace, None, None, GENESIS, [event])

    def _lock(self, job_id: str) -> Row:
        row = self._one(self._dialect.lock_row(queries.JOB_VERSION), job_id=job_id)
        assert row is not None, job_id
        return row

    def _append_to(self, workspace: str, job_id: str, told: Sequence[Event]) -> None:
        last = self._one(queries.LAST_EVENT, job_id=job_id) or {"seq": 0, "chain": GENESIS}
        self._append(workspace, job_id, last["seq"], last["chain"], told)

    def _append(
        self, workspace: str, job_id: str | None, seq: int | None, chain: str, told: Sequence[Event]
    ) -> None:
        if not told:
            return
        if job_id is not None:
            self.told.add(job_id)
        # Read anew for each append: a member that was rolled back has given its numbers back.
        feed_seq = self._dialect.feed_seq(self._connection, workspace)
        rows: list[Row] = []
        for place, event in enumerate(told):
            data = canonical(dict(event.data))
            seq = None if seq is None else seq + 1
            digest = sha256(data)
            chain = link(chain, job_id, seq, event.type, event.at, event.actor, digest)
            rows.append(
                {
                    "id": self._ids.new("evt"),
                    "workspace": workspace,
                    "job_id": job_id,
                    "seq": seq,
                    "feed_seq": None if feed_seq is None else feed_seq + place,
                    "type": event.type,
                    "at": event.at,
                    "actor": event.actor,
                    "data": data,
                    "digest": digest,
                    "chain": chain,
                }
            )
        self._connection.execute(queries.INSERT_EVENT, rows)

    # attempts

    def attempts(self, job_id: str) -> list[Attempt]:
        return [attempt_of(row) for row in self._all(queries.ATTEMPTS, job_id=job_id)]

    def attempts_of(self, job_ids: Sequence[str]) -> dict[str, list[Attempt]]:
        rows = self._by_job(queries.ATTEMPTS_OF, job_ids)
        return {job_id: [attempt_of(row) for row in found] for job_id, found in rows.items()}

    def attempt(self, attempt_id: str) -> Attempt | None:
        row = self._one(queries.ATTEMPT, attempt_id=attempt_id)
        return None if row is None else attempt_of(row)

    def insert_attempt(self, attempt: Attempt) -> None:
        self._connection.execute(queries.INSERT_ATTEMPT, _columns(attempt))

    def move_attempt(self, attempt_id: str, sources: Sequence[str], **changes: Any) -> bool:
        where = {"at_id": attempt_id, "sources": list(sources)}
        return self._connection.execute(*setting(queries.MOVE_ATTEMPT, changes, where)).rowcount > 0

    def keep_response_id(self, attempt_id: str, response_id: str) -> bool:
        return self._changed(queries.KEEP_RESPONSE_ID, at_id=attempt_id, response_id=response_id)

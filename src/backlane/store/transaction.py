"""The whole transaction: jobs, money, outputs, reviews, incidents and people; and the store that opens it."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import Connection, insert

from backlane.core.job import Job
from backlane.core.ports import Ids
from backlane.core.storage import Row, Search, Transaction
from backlane.store import queries, queries_people
from backlane.store.chain import GENESIS, canonical, link
from backlane.store.database import Database
from backlane.store.dialects import Dialect
from backlane.store.people import audit, keys, principals, workspaces
from backlane.store.records import job_of
from backlane.store.records_actions import ActionRecords
from backlane.store.records_budgets import BudgetRecords
from backlane.store.records_case import CaseRecords
from backlane.store.records_files import FileRecords
from backlane.store.records_hooks import InboxRecords
from backlane.store.records_lanes import LaneRecords
from backlane.store.records_live import LiveRecords
from backlane.store.records_messages import MessageRecords
from backlane.store.records_policy import PolicyRecords
from backlane.store.records_review import ReviewRecords
from backlane.store.records_tools import ToolRecords
from backlane.store.searching import NEWEST_ENDS, job_search
from backlane.store.tables import answers, artifacts, cost_lines, idempotency_keys
from backlane.store.tables_lanes import durations, lanes

T = TypeVar("T")


class Records(
    ActionRecords,
    BudgetRecords,
    CaseRecords,
    ReviewRecords,
    FileRecords,
    InboxRecords,
    LiveRecords,
    ToolRecords,
    LaneRecords,
    MessageRecords,
    PolicyRecords,
):
    """One open transaction, as the services use it."""

    def _insert(self, table: Any, row: Mapping[str, Any]) -> None:
        self._connection.execute(insert(table), dict(row))

    def _insert_once(self, table: Any, row: Mapping[str, Any]) -> bool:
        # A count of rows is not told for such an insert by every driver; the row itself is.
        first = next(iter(table.primary_key))
        statement = self._dialect.insert(table).values(**row).on_conflict_do_nothing().returning(first)
        return self._connection.execute(statement).first() is not None

    def search(self, search: Search) -> list[Job]:
        return [job_of(row) for row in self._all(job_search(search))]

    # answers and money

    def keep_answer(self, attempt_id: str, job_id: str, body: str) -> None:
        self._insert_once(answers, {"attempt_id": attempt_id, "job_id": job_id, "body": body})

    def kept_answer(self, attempt_id: str) -> str | None:
        row = self._one(queries.ANSWER, attempt_id=attempt_id)
        return None if row is None else row["body"]

    def drop_answer(self, attempt_id: str) -> None:
        self._changed(queries.DROP_ANSWER, at_id=attempt_id)

    def keep_cost(self, line: Mapping[str, Any]) -> bool:
        return self._insert_once(cost_lines, line)

    def cost_lines(self, job_id: str) -> list[Row]:
        return self._all(queries.COST_LINES, job_id=job_id)

    def cost_lines_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.COST_LINES_OF, job_ids)

    def average_cost(self, workspace: str, type_name: str) -> Decimal | None:
        rows = self._all(queries.RECENT_COSTS, workspace=workspace, type_name=type_name)
        return sum((Decimal(row["amount"]) for row in rows), Decimal(0)) / len(rows) if rows else None

    # durations

    def durations(self, workspace: str, type_name: str, model: str, lane: str) -> list[int]:
        kind = {"workspace": workspace, "type_name": type_name, "model": model, "lane_name": lane}
        row = self._one(queries.DURATIONS, **kind)
        return [] if row is None else list(row["sample"])

    def keep_durations(
        self, workspace: str, type_name: str, model: str, lane: str, *, sample: list[int], now: int
    ) -> None:
        kind = {"workspace": workspace, "type": type_name, "model": model, "lane": lane}
        kept = {"sample": sample, "updated_at": now}
        statement = self._dialect.insert(durations).values(**kind, **kept)
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(kind), set_=kept))

    def durations_of(self, workspace: str, types: Sequence[str]) -> list[Row]:
        return self._all(queries.DURATIONS_OF, workspace=workspace, types=list(types))

    # outputs

    def insert_artifact(self, artifact: Mapping[str, Any]) -> None:
        self._insert(artifacts, artifact)

    def artifacts(self, job_id: str) -> list[Row]:
        return self._all(queries.ARTIFACTS, job_id=job_id)

    def artifacts_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.ARTIFACTS_OF, job_ids)

    def artifact(self, artifact_id: str) -> Row | None:
        return self._one(queries.ARTIFACT, artifact_id=artifact_id)

    # incidents

    def newest_ends(self, workspace: str, type_name: str, n: int) -> list[Row]:
        return self._all(NEWEST_ENDS, workspace=workspace, type_name=type_name, n=n)

    def incident(self, account: str, lane: str) -> Row | None:
        return self._one(queries.INCIDENT, account=account, lane_name=lane)

    def incidents(self) -> list[Row]:
        return self._all(queries.INCIDENTS)

    def raise_incident(self, incident: Mapping[str, Any]) -> bool:
        return self._insert_once(lanes, incident)

    def clear_incident(self, account: str, lane: str) -> bool:
        return self._changed(queries.CLEAR_INCIDENT, account=account, lane_name=lane)

    # people

    def workspace(self, name: str) -> Row | None:
        return self._one(queries_people.WORKSPACE_BY_NAME, name=name)

    def workspaces(self) -> list[Row]:
        return self._all(queries_people.WORKSPACES)

    def insert_workspace(self, row: Mapping[str, Any]) -> None:
        self._insert(workspaces, row)

    def principal(self, workspace: str, name: str) -> Row | None:
        return self._one(queries_people.PRINCIPAL, workspace=workspace, name=name)

    def insert_principal(self, row: Mapping[str, Any]) -> None:
        self._insert(principals, row)

    def insert_key(self, row: Mapping[str, Any]) -> None:
        self._insert(keys, row)

    def key(self, key_hash: str) -> Row | None:
        return self._one(queries_people.KEY_BY_HASH, hash=key_hash)

    def keys(self) -> list[Row]:
        return self._all(queries_people.KEYS)

    def revoke_key(self, key_id: str, now: int) -> bool:
        return self._changed(queries_people.REVOKE_KEY, at_id=key_id, now=now)

    def live_key(self, key_id: str, now: int) -> Row | None:
        return self._one(queries_people.LIVE_KEY, at_id=key_id, now=now)

    def touch_key(self, key_id: str, now: int) -> None:
        self._changed(queries_people.TOUCH_KEY, at_id=key_id, now=now)

    def used_key(self, workspace: str, submitted_by: str, key: str) -> tuple[str, str] | None:
        row = self._one(queries.IDEMPOTENCY, workspace=workspace, submitter=submitted_by, used_key=key)
        return None if row is None else (row["body_hash"], row["job_id"])

    def use_key(self, row: Mapping[str, Any]) -> bool:
        return self._insert_once(idempotency_keys, row)

    def audit(self, line: Mapping[str, Any]) -> None:
        # Two writers of one chain come one after the other.
        self._one(self._dialect.lock_row(queries_people.WORKSPACE_LOCK), workspace=line["workspace"])
        last = self._one(queries_people.LAST_AUDIT, workspace=line["workspace"]) or {
            "seq": 0,
            "chain": GENESIS,
        }
        data = canonical(line["data"])
        seq = last["seq"] + 1
        chain = link(last["chain"], seq, line["at"], line["actor"], line["action"], line["subject"], data)
        row = {**line, "id": self._ids.new("aud"), "seq": seq, "data": data, "chain": chain}
        self._insert(audit, row)

    def number_feed(self, limit: int = 1000) -> int:
        """Give committed events their places in their workspaces' feeds; how many were placed.

        Where one writer commits at a time, events have their place at once and this finds none.
        """
        placed: dict[str, int] = {}
        rows = self._all(queries.UNNUMBERED_EVENTS, n=limit)
        for row in rows:
            workspace = row["workspace"]
            if workspace not in placed:
                newest = self._connection.execute(queries.NEWEST_FEED_SEQ, {"workspace": workspace}).scalar()
                placed[workspace] = newest or 0
            placed[workspace] += 1
            self._changed(queries.NUMBER_EVENT, at_id=row["id"], number=placed[workspace])
        return len(rows)


def _nobody(_: set[str]) -> None:
    return None


class SqlStore:
    """The store the services are given."""

    def __init__(self, database: Database, ids: Ids) -> None:
        self.database = database
        self._ids = ids
        # Called on the caller's loop with the jobs whose events were just committed.
        self.on_commit: Callable[[set[str]], None] = _nobody

    @property
    def dialect(self) -> Dialect:
        """Which database this is."""
        return self.database.dialect

    def records(self, connection: Connection) -> Records:
        """The named reads and writes on an open connection."""
        return Records(connection, self.dialect, self._ids)

    async def write(self, body: Callable[[Transaction], T]) -> T:
        """Run one member of a group commit; answers only after COMMIT returned, then tells `on_commit`."""
        told: set[str] = set()

        def member(connection: Connection) -> T:
            records = self.records(connection)
            told.clear()
            result = body(records)
            told.update(records.told)
            return result

        result = await self.database.write(member)
        if told:
            self.on_commit(told)
        return result

    async def read(self, body: Callable[[Transaction], T]) -> T:
        """Run the body on one snapshot."""
        return await self.database.read(lambda connection: body(self.records(connection)))

    async def ping(self) -> None:
        """Raises StoreError if nothing can be read."""
        await self.database.read(lambda connection: connection.execute(queries.PING).scalar())

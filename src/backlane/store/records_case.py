"""A transaction's named reads and guarded writes over cases, notes, a job's marks and the audit log."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import insert

from backlane.core.job import Job
from backlane.core.storage import Row
from backlane.errors import StaleJob
from backlane.store import queries
from backlane.store import queries_case as own
from backlane.store.chain import GENESIS
from backlane.store.records import JobRecords, setting
from backlane.store.tables_case import cases, notes

_MARKS = frozenset(
    {"archived_at", "held", "case_id", "sensitive", "gate", "closed_from", "summary", "review_state"}
)


class CaseRecords(JobRecords):
    """The part of a transaction that is about what people look after."""

    def mark_job(self, job: Job, **marks: Any) -> None:
        assert marks.keys() <= _MARKS, marks
        guards = {"at_id": job.id, "at_version": job.version}
        if self._connection.execute(*setting(queries.MARK_JOB, marks, guards)).rowcount != 1:
            raise StaleJob(job.id)

    def chain_head(self, job_id: str) -> tuple[int, str]:
        last = self._one(queries.LAST_EVENT, job_id=job_id)
        return (0, GENESIS) if last is None else (last["seq"], last["chain"])

    def insert_case(self, case: Mapping[str, Any]) -> None:
        self._connection.execute(insert(cases), dict(case))

    def case(self, case_id: str) -> Row | None:
        return self._one(own.CASE, case_id=case_id)

    def open_case(self, job_id: str) -> Row | None:
        return self._one(own.OPEN_CASE, job_id=job_id)

    def change_case(self, case_id: str, **changes: Any) -> None:
        self._connection.execute(*setting(own.CHANGE_CASE, changes, {"at_id": case_id}))

    def cases(
        self,
        workspace: str,
        filters: Mapping[str, str],
        sight: tuple[str, str | None] | None,
        *,
        before: str | None,
        limit: int,
    ) -> list[Row]:
        return self._all(own.case_search(workspace, filters, sight, before, limit))

    def insert_note(self, note: Mapping[str, Any]) -> None:
        self._connection.execute(insert(notes), dict(note))

    def notes(self, job_id: str) -> list[Row]:
        return self._all(own.NOTES, job_id=job_id)

    def audit_lines(self, workspace: str, filters: Mapping[str, str], *, after: int, limit: int) -> list[Row]:
        return self._all(own.audit_search(workspace, filters, after, limit))

    def key_by_id(self, key_id: str) -> Row | None:
        return self._one(own.KEY_BY_ID, key_id=key_id)

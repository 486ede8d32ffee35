"""The part of a transaction that is about files: those people sent in, and their copies at the provider."""

from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.storage import Row
from backlane.store import queries_files as queries
from backlane.store.records import JobRecords, setting
from backlane.store.tables_wire import job_files, provider_files


class FileRecords(JobRecords):
    """Named reads and guarded writes over files."""

    def insert_upload(self, upload: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_UPLOAD, dict(upload))

    def upload(self, upload_id: str) -> Row | None:
        return self._one(queries.UPLOAD, upload_id=upload_id)

    def link_file(self, job_id: str, upload_id: str) -> None:
        link = self._dialect.insert(job_files).values(job_id=job_id, upload_id=upload_id)
        self._connection.execute(link.on_conflict_do_nothing())

    def files_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.FILES_OF, job_ids)

    def jobs_using(self, upload_id: str) -> list[str]:
        return [row["job_id"] for row in self._all(queries.JOBS_USING, upload_id=upload_id)]

    def provider_files(self, workspace: str, account: str, sha256: str) -> list[Row]:
        return self._all(queries.PROVIDER_FILES, workspace=workspace, account=account, digest=sha256)

    def plan_provider_file(self, row: Mapping[str, Any]) -> bool:
        plan = self._dialect.insert(provider_files).values(**row).on_conflict_do_nothing()
        return self._connection.execute(plan.returning(provider_files.c.id)).first() is not None

    def move_provider_file(self, file_id: str, sources: Sequence[str], **changes: Any) -> bool:
        where = {"at_id": file_id, "sources": list(sources)}
        changed = setting(queries.MOVE_PROVIDER_FILE, changes, where)
        return self._connection.execute(*changed).rowcount > 0

    def idle_provider_files(self, now: int, n: int) -> list[Row]:
        return self._all(queries.IDLE_PROVIDER_FILES, now=now, n=n)

    def claim_idle_file(self, file_id: str, state: str) -> bool:
        return self._changed(queries.CLAIM_IDLE_FILE, at_id=file_id, at_state=state)

"""What the services ask of the database about cases, notes, marks of a job and the audit log, as a Protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

from backlane.core.job import Job

Row = dict[str, Any]


class CaseStorage(Protocol):
    """The part of a transaction that is about what people look after."""

    def mark_job(self, job: Job, **marks: Any) -> None:
        """Set `archived_at`, `held` or `case_id`, which decide nothing. Raises StaleJob for another version.

        The version stays: whoever is at work with the job is not disturbed.
        """
        ...

    def chain_head(self, job_id: str) -> tuple[int, str]:
        """The number of a job's newest event and the head of its chain."""
        ...

    def insert_case(self, case: Mapping[str, Any]) -> None: ...
    def case(self, case_id: str) -> Row | None: ...
    def open_case(self, job_id: str) -> Row | None: ...
    def change_case(self, case_id: str, **changes: Any) -> None: ...
    def cases(
        self,
        workspace: str,
        filters: Mapping[str, str],
        sight: tuple[str, str | None] | None,
        *,
        before: str | None,
        limit: int,
    ) -> list[Row]:
        """Cases, the newest first; `sight` narrows them to somebody's own jobs, and those reviewed by a role."""
        ...

    def insert_note(self, note: Mapping[str, Any]) -> None: ...
    def notes(self, job_id: str) -> list[Row]:
        """What people noted about a job, oldest first."""
        ...

    def audit_lines(self, workspace: str, filters: Mapping[str, str], *, after: int, limit: int) -> list[Row]:
        """Lines of a workspace's audit log by number, from the one after."""
        ...

    def key_by_id(self, key_id: str) -> Row | None:
        """Whose key it is and whether it is live; never the key."""
        ...

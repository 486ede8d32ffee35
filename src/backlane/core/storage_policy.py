"""What the services ask of the database about draws and what policies said, as a Protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Row = dict[str, Any]


class PolicyStorage(Protocol):
    """The part of a transaction that is about draws for review and verdicts of policies."""

    def insert_draw(self, draw: Mapping[str, Any]) -> None: ...
    def draw(self, job_id: str) -> Row | None:
        """How the job's draw went; None where its type is not sampled."""
        ...

    def insert_verdict(self, verdict: Mapping[str, Any]) -> None: ...
    def verdicts(self, job_id: str) -> list[Row]:
        """What policies said about a job, oldest first."""
        ...

    def policy_versions(self, workspace: str) -> list[Row]:
        """Which version of each type's policies was loaded last in this workspace."""
        ...

    def lock_log(self, workspace: str) -> None:
        """Until the end of this transaction nobody else adds a line to the workspace's audit log."""
        ...

    def keep_policy_version(
        self, workspace: str, type_name: str, over: str, *, version: str | None, at: int
    ) -> None:
        """Write down which version is loaded now."""
        ...

    def finished_jobs(
        self, workspace: str | None, type_name: str | None, after: str, limit: int
    ) -> Sequence[str]:
        """The ids of jobs that have ended, oldest first, after this id."""
        ...

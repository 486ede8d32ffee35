"""A transaction's named reads and guarded writes over draws for review and verdicts of policies."""

from collections.abc import Mapping
from typing import Any

from backlane.core.storage import Row
from backlane.store import queries_policy as queries
from backlane.store.records import JobRecords


class PolicyRecords(JobRecords):
    """The part of a transaction that is about draws and verdicts."""

    def insert_draw(self, draw: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_DRAW, dict(draw))

    def draw(self, job_id: str) -> Row | None:
        return self._one(queries.DRAW, job_id=job_id)

    def insert_verdict(self, verdict: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_VERDICT, dict(verdict))

    def verdicts(self, job_id: str) -> list[Row]:
        return self._all(queries.VERDICTS, job_id=job_id)

    def finished_jobs(
        self, workspace: str | None, type_name: str | None, after: str, limit: int
    ) -> list[str]:
        return [row["id"] for row in self._all(queries.finished_jobs(workspace, type_name, after, limit))]

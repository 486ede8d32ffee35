"""A transaction's named reads and guarded writes over draws for review, verdicts of policies and their versions."""

from collections.abc import Mapping
from typing import Any

from backlane.core.storage import Row
from backlane.store import queries_policy as queries
from backlane.store.queries_people import WORKSPACE_LOCK
from backlane.store.records import JobRecords
from backlane.store.tables_policy import policy_versions


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

    def policy_versions(self, workspace: str) -> list[Row]:
        return self._all(queries.VERSIONS, workspace=workspace)

    def lock_log(self, workspace: str) -> None:
        self._one(self._dialect.lock_row(WORKSPACE_LOCK), workspace=workspace)

    def keep_policy_version(
        self, workspace: str, type_name: str, over: str, *, version: str | None, at: int
    ) -> None:
        place = {"workspace": workspace, "type": type_name, "over": over}
        kept = {"version": version, "at": at}
        statement = self._dialect.insert(policy_versions).values(**place, **kept)
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(place), set_=kept))

    def finished_jobs(
        self, workspace: str | None, type_name: str | None, after: str, limit: int
    ) -> list[str]:
        return [row["id"] for row in self._all(queries.finished_jobs(workspace, type_name, after, limit))]

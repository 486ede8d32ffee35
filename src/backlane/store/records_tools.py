"""Turns and tool calls, as a part of the transaction."""

from collections.abc import Mapping
from typing import Any

from backlane.core.storage import Row
from backlane.store import queries_tools as queries
from backlane.store.records import JobRecords


class ToolRecords(JobRecords):
    """The named reads and writes over turns and tool calls."""

    def insert_tool_call(self, row: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_TOOL_CALL, dict(row))

    def tool_calls(self, attempt_id: str) -> list[Row]:
        return self._all(queries.TOOL_CALLS, attempt_id=attempt_id)

    def tool_states(self, attempt_id: str) -> list[str]:
        return [row["state"] for row in self._all(queries.TOOL_STATES, attempt_id=attempt_id)]

    def tool_calls_of(self, job_id: str) -> list[Row]:
        return self._all(queries.TOOL_CALLS_OF, job_id=job_id)

    def answer_tool_call(self, row_id: str, *, code: str | None, output: str, now: int) -> bool:
        kept = {"to_code": code, "to_output": output, "now": now}
        return self._changed(queries.ANSWER_TOOL_CALL, at_id=row_id, **kept)

    def reopen_tool_call(self, row_id: str) -> None:
        self._connection.execute(queries.REOPEN_TOOL_CALL, {"at_id": row_id})

    def insert_turn(self, row: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_TURN, dict(row))

    def turn(self, attempt_id: str) -> Row | None:
        return self._one(queries.TURN, attempt_id=attempt_id)

    def turns_of(self, job_id: str) -> dict[str, Row]:
        return {row["attempt_id"]: row for row in self._all(queries.TURNS_OF, job_id=job_id)}

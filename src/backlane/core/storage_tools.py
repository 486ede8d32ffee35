"""What the services ask of the database about turns and tool calls, as a Protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

Row = dict[str, Any]


class ToolTransaction(Protocol):
    """The part of a transaction that is about turns and the calls they answer."""

    def insert_tool_call(self, row: Mapping[str, Any]) -> None: ...
    def tool_calls(self, attempt_id: str) -> list[Row]:
        """The calls of one run, in its order."""
        ...

    def tool_states(self, attempt_id: str) -> list[str]:
        """The state of each call of one run."""
        ...

    def tool_calls_of(self, job_id: str) -> list[Row]:
        """Every call of a job, oldest first."""
        ...

    def answer_tool_call(self, row_id: str, *, code: str | None, output: str, now: int) -> bool:
        """Keep what a call is answered, if it was not answered yet; whether this call kept it."""
        ...

    def reopen_tool_call(self, row_id: str) -> None:
        """Let a call wait for its action again: what it was answered was never sent."""
        ...

    def insert_turn(self, row: Mapping[str, Any]) -> None: ...
    def turn(self, attempt_id: str) -> Row | None:
        """What an attempt sends beyond the job's own request, None for a first turn."""
        ...

    def turns_of(self, job_id: str) -> dict[str, Row]:
        """Every turn of a job, by its attempt."""
        ...

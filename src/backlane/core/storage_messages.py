"""What the services ask of the database about what people say to jobs, as a Protocol."""

from collections.abc import Mapping
from typing import Any, Protocol

Row = dict[str, Any]


class MessageTransaction(Protocol):
    """The part of a transaction that is about people's messages."""

    def insert_message(self, row: Mapping[str, Any]) -> None: ...
    def waiting_messages(self, job_id: str) -> list[Row]:
        """What people said to a job that no turn has taken up, oldest first."""
        ...

    def take_messages(self, job_id: str, attempt_id: str) -> None:
        """Let this attempt's turn be the one that takes them up."""
        ...

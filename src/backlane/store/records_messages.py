"""People's messages, as a part of the transaction."""

from collections.abc import Mapping
from typing import Any

from backlane.core.storage import Row
from backlane.store import queries_messages as queries
from backlane.store.records import JobRecords


class MessageRecords(JobRecords):
    """The named reads and writes over people's messages."""

    def insert_message(self, row: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_MESSAGE, dict(row))

    def waiting_messages(self, job_id: str) -> list[Row]:
        return self._all(queries.WAITING_MESSAGES, job_id=job_id)

    def take_messages(self, job_id: str, attempt_id: str) -> None:
        self._changed(queries.TAKE_MESSAGES, for_job=job_id, to_attempt=attempt_id)

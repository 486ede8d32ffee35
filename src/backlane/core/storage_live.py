"""What live text asks of the database: the text so far, the newest news of many jobs, a lease while listening."""

from collections.abc import Sequence
from typing import Protocol

from backlane.core.ports import Due


class LiveTransaction(Protocol):
    """The part of a transaction that is about live streams."""

    def streamed(self, job_id: str) -> str:
        """The text that followers of a job have, joined since it was last voided."""
        ...

    def keep_unknown(self, attempt_id: str, events: Sequence[str]) -> None:
        """Keep what a run's stream or status said that nobody here knows, as JSON, each once.

        Up to `UNKNOWN_AT_MOST` of a run are kept: of events, of fields and of status words.
        """
        ...

    def unknown_events(self, attempt_id: str) -> list[str]:
        """Those that were kept, in the order they came."""
        ...

    def newest_seqs(self, job_ids: Sequence[str]) -> dict[str, int]:
        """Per job the newest event's number; cheap for many jobs."""
        ...

    def listen(self, due: Due, until: int) -> bool:
        """Keep a lease while a stream is read; whether it was still held."""
        ...

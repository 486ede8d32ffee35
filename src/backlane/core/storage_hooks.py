"""What the services ask of the database about the provider's signed events."""

from collections.abc import Sequence
from typing import Any, Protocol

from backlane.core.job import Attempt
from backlane.core.notice import Notice

Row = dict[str, Any]


class InboxTransaction(Protocol):
    """The inbox's part of a transaction. A row is due until it is settled."""

    def keep_notice(self, notice: Notice, now: int) -> bool:
        """Store an event once per account and webhook id; whether this was the first time."""
        ...

    def attempt_of_response(self, account: str, response_id: str) -> Attempt | None:
        """The attempt of this account that has this run."""
        ...

    def claim_notices(self, now: int, until: int, n: int) -> list[Row]:
        """Up to n due rows for this worker alone until then; their `tries` count this one."""
        ...

    def settle_notice(self, row: Row, state: str, note: str, now: int) -> None:
        """The end of a row: applied, or foreign."""
        ...

    def park_notice(self, row: Row, note: str, due_at: int, *, attempt_id: str | None, tries: int) -> None:
        """Come back to a row later; `attempt_id` is what its run's metadata named."""
        ...

    def free_notices(self, now: int) -> None:
        """Make every open row due; only the holder of an exclusive store may call this."""
        ...

    def next_notice(self) -> int | None:
        """When the next row is due."""
        ...

    def newest_notice(self, account: str, since: int) -> int | None:
        """When the account's newest event about a run of ours came, if that was not before then."""
        ...

    def heard_of(self, account: str, response_id: str) -> int | None:
        """When the first event about this run came."""
        ...

    def told_of(self, account: str, response_id: str) -> int | None:
        """When the newest event came that said that this run has ended."""
        ...

    def drop_notices(self, before: int, n: int) -> int:
        """Forget up to n rows that came before then; how many there were."""
        ...

    def unknown_types(self, n: int) -> Sequence[Row]:
        """The n most frequent types of events that nobody here knew, and how many came of each."""
        ...

    def accounts_heard(self) -> Sequence[Row]:
        """Each account's newest event, and how many rows it has in each state."""
        ...

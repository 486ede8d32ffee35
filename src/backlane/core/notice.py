"""What a provider's signed event says to us: that something may have happened to a run. Never what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

# The types that say that a run has ended.
ENDS = ("response.completed", "response.failed", "response.incomplete", "response.cancelled")
# Every type that this version knows.
TYPES = (*ENDS, "batch.completed", "batch.failed", "batch.expired", "batch.cancelled")


@dataclass(frozen=True, slots=True)
class Notice:
    """One verified event of an account. `response_id` is None where it is about something else than a run.

    `body` is what was sent, or its beginning, where nobody here knows the type, or a field.
    """

    account: str
    webhook_id: str
    type: str
    response_id: str | None
    body: str | None = None


@dataclass(slots=True)
class Traffic:
    """What reached this process' door for signed events since it started; a refused one leaves no other trace."""

    received: int = 0
    refused: int = 0


class Signatures(Protocol):
    """Knows the secrets that our accounts' events are signed with."""

    @property
    def is_open(self) -> bool:
        """Whether any account has a secret."""
        ...

    def notices(self, body: bytes, headers: Mapping[str, str], now: int) -> Sequence[Notice]:
        """What these bytes tell, for each account whose secret signed them; empty for a forgery."""
        ...

"""What a provider's signed event says to us: that something may have happened to a run. Never what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """One verified event of an account. `response_id` is None where it is about something else than a run."""

    account: str
    webhook_id: str
    type: str
    response_id: str | None


@dataclass(slots=True)
class Traffic:
    """What reached this process' door for signed events since it started; a refused one leaves no other trace."""

    received: int = 0
    refused: int = 0

"""What a run cost, as a value, and who prices it."""

from decimal import Decimal
from typing import NamedTuple, Protocol

from backlane.core.outcome import Answer


class Price(NamedTuple):
    """What one attempt cost. `amount` is None where no price is known: unpriced, never zero."""

    amount: Decimal | None
    basis: str


class Pricer(Protocol):
    """Prices a run from its terminal object."""

    def __call__(self, answer: Answer, at: int) -> Price: ...

"""What a run cost, as the services ask for it."""

from decimal import Decimal
from typing import NamedTuple, Protocol

from backlane.core.outcome import Answer


class Price(NamedTuple):
    """What one attempt cost. `amount` is None where no price is known: unpriced, never zero."""

    amount: Decimal | None
    basis: str


class Pricer(Protocol):
    """Prices a run from its terminal object and the completion window it was bought with."""

    def __call__(self, answer: Answer, at: int, window: str = "soonest") -> Price: ...

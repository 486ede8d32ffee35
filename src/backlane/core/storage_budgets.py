"""What the services ask of the database about budgets: what is spent, reserved and freed, and who waits for it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol


class BudgetStorage(Protocol):
    """The part of a transaction that is about budgets."""

    def budgets_for(
        self, workspace: str, account: str | None, type_name: str, *, lock: bool = False
    ) -> list[dict[str, Any]]:
        """The budgets that a job's runs count for, the workspace's first; `lock` keeps others from them.

        Lock them after lanes and before the workspace's log, as everybody does.
        """
        ...

    def budgets(self, workspace: str) -> list[dict[str, Any]]:
        """A workspace's budgets."""
        ...

    def locked_budget(self, first: Mapping[str, Any]) -> dict[str, Any]:
        """The budget of this place, locked; written as `first` where there is none."""
        ...

    def change_budget(self, budget: Mapping[str, Any], **changes: Any) -> None:
        """Write columns of a budget that this transaction has locked."""
        ...

    def reserved(self, budget: Mapping[str, Any], start: int) -> Decimal:
        """What counts as reserved in the period that began at `start`."""
        ...

    def booked(self, budget: Mapping[str, Any], start: int) -> Decimal:
        """What was booked and priced since then, summed up line by line."""
        ...

    def insert_reservation(self, row: Mapping[str, Any]) -> None:
        """Write what a run reserves of one budget."""
        ...

    def change_reservation(self, reservation_id: str, **changes: Any) -> bool:
        """Free or mark a reservation that is open; whether there was one."""
        ...

    def free_all(self, budget: Mapping[str, Any], now: int, place: int) -> None:
        """Free every open reservation of a budget."""
        ...

    def reservations_of(self, job_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """What the runs of these jobs have reserved, freed or not."""
        ...

    def held_back(self, workspace: str, labels: Sequence[str], now: int, n: int) -> list[str]:
        """Jobs that wait for any of these budgets, the oldest first; nobody holds them."""
        ...

    def let_on(self, places: Sequence[tuple[str, int]]) -> None:
        """Let jobs look at their budget again, each at its time."""
        ...

    def waiting_for_budgets(self, workspace: str) -> dict[str, int]:
        """How many jobs each budget holds."""
        ...

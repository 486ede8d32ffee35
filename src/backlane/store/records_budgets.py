"""The part of a transaction that is about budgets: what is spent, reserved and freed, and who waits for it."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from backlane.core.budget import FOLLOWED
from backlane.core.storage import Row
from backlane.store import queries_budgets as queries
from backlane.store.records import JobRecords, setting
from backlane.store.tables_budgets import budgets, reservations


def _at(budget: Mapping[str, Any]) -> dict[str, Any]:
    return {f"at_{column}": budget[column] for column in ("workspace", "scope", "name")}


def _sum(rows: Sequence[Row]) -> Decimal:
    # In exact decimals: one of the databases would add them up as floats.
    return sum((Decimal(row["amount"]) for row in rows), Decimal(0))


class BudgetRecords(JobRecords):
    """A mixin of the whole transaction."""

    def budgets_for(
        self, workspace: str, account: str | None, type_name: str, *, lock: bool = False
    ) -> list[Row]:
        statement = self._dialect.lock_row(queries.APPLYING) if lock else queries.APPLYING
        rows = self._all(statement, workspace=workspace, account=account, type_name=type_name)
        return [row for row in rows if row["limit"] is not None]

    def budgets(self, workspace: str) -> list[Row]:
        return self._all(queries.BUDGETS, workspace=workspace)

    def locked_budget(self, first: Mapping[str, Any]) -> Row:
        values = self._dialect.insert(budgets).values(**first)
        self._connection.execute(values.on_conflict_do_nothing())
        row = self._one(self._dialect.lock_row(queries.BUDGET), **_at(first))
        assert row is not None, first
        return row

    def change_budget(self, budget: Mapping[str, Any], **changes: Any) -> None:
        self._connection.execute(*setting(queries.CHANGE_BUDGET, changes, _at(budget)))

    def reserved(self, budget: Mapping[str, Any], start: int) -> Decimal:
        return _sum(self._all(queries.RESERVED, **_at(budget), start=start, followed=start - FOLLOWED))

    def booked(self, budget: Mapping[str, Any], start: int) -> Decimal:
        named = {} if budget["scope"] == "workspace" else {"at_name": budget["name"]}
        statement = queries.BOOKED[budget["scope"]]
        return _sum(self._all(statement, at_workspace=budget["workspace"], start=start, **named))

    def insert_reservation(self, row: Mapping[str, Any]) -> None:
        self._connection.execute(insert(reservations), dict(row))

    def change_reservation(self, reservation_id: str, **changes: Any) -> bool:
        where = {"at_id": reservation_id}
        return self._connection.execute(*setting(queries.CHANGE_RESERVATION, changes, where)).rowcount > 0

    def free_all(self, budget: Mapping[str, Any], now: int, place: int) -> None:
        self._changed(queries.FREE_ALL, **_at(budget), now=now, number=place)

    def reservations_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.RESERVATIONS_OF, job_ids)

    def held_back(self, workspace: str, labels: Sequence[str], now: int, n: int) -> list[str]:
        statement = self._dialect.claimable(queries.HELD_BACK)
        rows = self._all(statement, workspace=workspace, labels=list(labels), now=now, n=n)
        return [row["id"] for row in rows]

    def let_on(self, places: Sequence[tuple[str, int]]) -> None:
        if places:
            values = [{"at_id": job_id, "at_due": at} for job_id, at in places]
            self._connection.execute(queries.LET_ON, values)

    def waiting_for_budgets(self, workspace: str) -> dict[str, int]:
        rows = self._all(queries.WAITING, workspace=workspace)
        return {row["budget"]: row["waiting"] for row in rows}

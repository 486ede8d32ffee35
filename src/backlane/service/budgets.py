"""Budgets as people see and set them: how much is spent, reserved and left, and who waits. Each change is audited."""

from decimal import Decimal
from typing import Any

from backlane.core.budget import ASSUMED, Scope, label, period_end, period_start
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller
from backlane.service.describe import moment
from backlane.service.ports import Ports
from backlane.service.reserve import LET_ON_AT_MOST, let_on, spent_now
from backlane.service.witness import witness

AUDITED_AS = "budget.changed"


async def list_budgets(ports: Ports, caller: Caller) -> list[dict[str, Any]]:
    """The budgets of the caller's workspace."""
    now = ports.clock.now()

    def body(tx: Transaction) -> list[dict[str, Any]]:
        waiting = tx.waiting_for_budgets(caller.workspace)
        return [_view(tx, row, waiting.get(label(row), 0), now) for row in tx.budgets(caller.workspace)]

    return await ports.store.read(body)


def _view(tx: Transaction, row: Row, waiting: int, now: int) -> dict[str, Any]:
    spent, start = spent_now(tx, row, now)
    reserved = tx.reserved(row, start)
    left = max(Decimal(row["limit"]) - spent - reserved, Decimal(0))
    return {
        "object": "budget",
        "scope": row["scope"],
        "name": row["name"] or None,
        "period": row["period"],
        "currency": "USD",
        "limit": row["limit"],
        "assume": row["assume"],
        "spent": format(spent, "f"),
        "reserved": format(reserved, "f"),
        "left": format(left, "f"),
        "waiting": waiting,
        "resets_at": moment(period_end(row["period"], now)),
        "updated_at": moment(row["updated_at"]),
        "updated_by": row["updated_by"],
    }


async def set_budget(
    ports: Ports,
    caller: Caller,
    scope: str,
    name: str | None,
    *,
    period: str | None,
    limit: str | None,
    assume: str | None,
) -> None:
    """Set a budget, or with no `limit` remove it; jobs that it holds look again. Raises InvalidRequest."""
    _require_named(ports, scope, name, limit)
    if limit is not None and period is None:
        raise InvalidRequest([("/period", "must be day, month or total")])

    def body(tx: Transaction) -> None:
        now = ports.clock.now()
        # The workspace's row is there as soon as any is, and locked first, as by everybody.
        row = tx.locked_budget(_unset(caller, Scope.WORKSPACE, "", now))
        if scope != Scope.WORKSPACE:
            row = tx.locked_budget(_unset(caller, scope, name or "", now))
        before, place = _told(row), row["places"] + 1
        if limit is None and row["limit"] is None:
            return
        changes: Row = {"limit": limit, "period": row["period"] if limit is None else period}
        if assume is not None:
            changes["assume"] = assume
        if row["limit"] is None:
            changes["since"] = now
        after: Row = {**row, **changes, "updated_at": now, "updated_by": caller.name, "places": place}
        start = period_start(after["period"], now)
        after |= {"spent": format(tx.booked(after, start), "f"), "spent_since": start}
        if limit is None:
            tx.free_all(row, now, place)
        tx.change_budget(row, **{key: value for key, value in after.items() if value != row[key]})
        let_on(tx, ports, caller.workspace, [label(row)], LET_ON_AT_MOST)
        told: dict[str, Any] = {"from": before, "to": _told(after), "place": place}
        witness(tx, ports, caller, AUDITED_AS, label(row), **told)

    await ports.store.write(body)
    ports.notify()


def _require_named(ports: Ports, scope: str, name: str | None, limit: str | None) -> None:
    if (scope == Scope.WORKSPACE) != (name is None):
        raise InvalidRequest([("/name", "goes with scope account or type, and only with them")])
    if scope == Scope.TYPE and limit is not None and (name is None or ports.types.get(name) is None):
        raise InvalidRequest([("/name", "is no job type that is loaded")])


def _unset(caller: Caller, scope: str, name: str, now: int) -> Row:
    """A budget that holds nothing yet."""
    return {
        "workspace": caller.workspace,
        "scope": scope,
        "name": name,
        "period": "total",
        "limit": None,
        "assume": ASSUMED,
        "since": now,
        "spent": "0",
        "spent_since": 0,
        "places": 0,
        "updated_at": now,
        "updated_by": caller.name,
    }


def _told(row: Row) -> dict[str, Any] | None:
    """A budget as the audit log has it; None for one that is not set."""
    if row["limit"] is None:
        return None
    return {name: row[name] for name in ("period", "limit", "assume")}

"""Reserving money before a run is sent, and freeing it once its cost is known: no hard budget is passed.

A budget's row is locked from the look at what is spent to the end of the transaction: after lanes, before the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from backlane.core import lifecycle
from backlane.core.budget import (
    REACHED,
    SETTLES,
    label,
    period_end,
    reservation_id,
    reserved_by,
    spent_in,
)
from backlane.core.event import Event
from backlane.core.health import waits_after
from backlane.core.job import Attempt, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Row, Transaction
from backlane.service.ports import Ports

_ACTOR = "backlane"
# So many of the jobs that wait look again at once where one run's money is free again; all, up to this, on a change.
_LET_ON_AT_ONCE = 4
LET_ON_AT_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Room:
    """What a run would reserve of each budget it counts for; `full` is the one that has no room for it."""

    shares: tuple[tuple[Row, Decimal], ...] = ()
    full: Row | None = None


def spent_now(tx: Transaction, budget: Row, now: int) -> tuple[Decimal, int]:
    """What is spent of a budget in its period, and when that began; a new budget is counted line by line."""
    spent, start = spent_in(budget, now)
    if now < budget["since"] + SETTLES:
        spent = tx.booked(budget, start)
    return spent, start


def room_for(tx: Transaction, job: Job, now: int, *, lock: bool = False) -> Room:
    """Whether a run of this job fits every budget. Of several full ones the one that is full for longest is named."""
    rows = tx.budgets_for(job.workspace, job.account, job.type, lock=lock)
    if not rows:
        return Room()
    lines = tx.cost_lines(job.id)
    settled = sum((Decimal(line["amount"]) for line in lines if line["amount"] is not None), Decimal(0))
    shares: list[tuple[Row, Decimal]] = []
    full: list[Row] = []
    for row in rows:
        amount = reserved_by(job.max_cost, settled, row["assume"])
        spent, start = spent_now(tx, row, now)
        if spent + tx.reserved(row, start) + amount > Decimal(row["limit"]):
            full.append(row)
        shares.append((row, amount))
    longest = max(full, key=lambda row: period_end(row["period"], now) or float("inf"), default=None)
    return Room(tuple(shares), longest)


def look_again_at(ports: Ports, full: Row, now: int) -> int:
    """When a job that a budget holds looks at it again, if nothing wakes it before."""
    end = period_end(full["period"], now)
    soon = now + ports.timings.budget_wait
    return soon if end is None else min(end, soon)


def held_by(ports: Ports, job: Job, full: Row, now: int) -> tuple[Job, list[Event]]:
    """The job, waiting for a budget; told once, however often it looks in vain."""
    until = min(look_again_at(ports, full, now), max(job.useful_until, now))
    data: dict[str, Any] = {"code": REACHED, "budget": label(full), "until": until}
    told: list[Event] = []
    if job.phase is not Phase.BUDGET:
        job, waiting = lifecycle.apply(
            job, Command.WAIT, now, phase=Phase.BUDGET, actor=_ACTOR, data={"code": REACHED, "until": until}
        )
        told.append(waiting)
    if job.budget is None:
        told.append(Event("budget.held", now, _ACTOR, data))
    return replace(job, budget=label(full), wait_until=until, due_at=until), told


def reserve(tx: Transaction, job: Job, attempt: Attempt, room: Room, now: int) -> tuple[Job, list[Event]]:
    """Write what the run takes of each budget. The budgets are locked, and have room for it."""
    for budget, amount in room.shares:
        place = budget["places"] + 1
        tx.change_budget(budget, places=place)
        tx.insert_reservation(
            {
                "id": reservation_id(attempt.id, budget["scope"]),
                "workspace": job.workspace,
                "scope": budget["scope"],
                "name": budget["name"],
                "job_id": job.id,
                "attempt_id": attempt.id,
                "amount": format(amount, "f"),
                "place": place,
                "at": now,
            }
        )
    if job.budget is None:
        return job, []
    return replace(job, budget=None), [Event("budget.lifted", now, _ACTOR, {"budget": job.budget})]


def settle_reserved(
    tx: Transaction, ports: Ports, job: Job, attempt: Attempt, amount: Decimal | None
) -> None:
    """A run's cost was booked: it is spent, and what was reserved for it is free.

    Where nobody knows the cost (None) the reservation stays, and counts until the period ends: never as zero.
    """
    now, freed = ports.clock.now(), list[Row]()
    for budget in tx.budgets_for(job.workspace, job.account, job.type, lock=True):
        mine = reservation_id(attempt.id, budget["scope"])
        if amount is None:
            tx.change_reservation(mine, unpriced_at=now)
            continue
        spent, since = spent_in(budget, now)
        young = now < budget["since"] + SETTLES
        spent = tx.booked(budget, since) if young else spent + amount
        place = budget["places"] + 1
        tx.change_budget(budget, spent=format(spent, "f"), spent_since=since, places=place)
        if tx.change_reservation(mine, freed_at=now, freed_place=place):
            freed.append(budget)
    _wake(tx, ports, job.workspace, freed)


def free_unbought(tx: Transaction, ports: Ports, job: Job, attempt: Attempt) -> None:
    """The provider never took the run: nothing was spent, and what was reserved for it is free."""
    now, freed = ports.clock.now(), list[Row]()
    for budget in tx.budgets_for(job.workspace, job.account, job.type, lock=True):
        place = budget["places"] + 1
        mine = reservation_id(attempt.id, budget["scope"])
        if tx.change_reservation(mine, freed_at=now, freed_place=place):
            tx.change_budget(budget, places=place)
            freed.append(budget)
    _wake(tx, ports, job.workspace, freed)


def _wake(tx: Transaction, ports: Ports, workspace: str, freed: Sequence[Row]) -> None:
    if freed:
        let_on(tx, ports, workspace, [label(one) for one in freed], _LET_ON_AT_ONCE)


def let_on(tx: Transaction, ports: Ports, workspace: str, labels: Sequence[str], n: int) -> None:
    """Have jobs that wait for these budgets look again, the oldest first and few at once: nobody comes in a herd."""
    now = ports.clock.now()
    waiting = tx.held_back(workspace, labels, now, n)
    tx.let_on([(job_id, now + waits_after(number)) for number, job_id in enumerate(waiting)])

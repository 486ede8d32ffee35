"""The statements about budgets and reservations, each a named constant under one line that says what it is for."""

from sqlalchemy import and_, bindparam, func, or_, select, update

from backlane.store.tables import attempts, cost_lines, jobs
from backlane.store.tables_budgets import budgets, reservations

_PLACE = ("workspace", "scope", "name")
_THIS = [budgets.c[column] == bindparam(f"at_{column}") for column in _PLACE]
# The budgets that a job's runs count for, in the order in which they are locked: the workspace's first, though it be
# removed, so that transactions that lock several meet at one row.
APPLYING = (
    select(budgets)
    .where(
        budgets.c.workspace == bindparam("workspace"),
        or_(budgets.c.scope == "workspace", budgets.c.limit.is_not(None)),
        or_(
            budgets.c.scope == "workspace",
            and_(budgets.c.scope == "account", budgets.c.name == bindparam("account")),
            and_(budgets.c.scope == "type", budgets.c.name == bindparam("type_name")),
        ),
    )
    .order_by(budgets.c.scope.desc(), budgets.c.name)
)
# The budgets of a workspace.
BUDGETS = (
    select(budgets)
    .where(budgets.c.workspace == bindparam("workspace"), budgets.c.limit.is_not(None))
    .order_by(budgets.c.scope, budgets.c.name)
)
# One budget, removed or not.
BUDGET = select(budgets).where(*_THIS)
CHANGE_BUDGET = update(budgets).where(*_THIS)
# What runs hold against a budget: those sent in this period, those whose unknown cost was booked in it, and those out.
RESERVED = (
    select(reservations.c.amount)
    .join(attempts, attempts.c.id == reservations.c.attempt_id)
    .join(jobs, jobs.c.id == reservations.c.job_id)
    .where(
        *[reservations.c[column] == bindparam(f"at_{column}") for column in _PLACE],
        reservations.c.freed_at.is_(None),
        or_(
            reservations.c.at >= bindparam("start"),
            reservations.c.unpriced_at >= bindparam("start"),
            and_(
                reservations.c.unpriced_at.is_(None),
                attempts.c.state.in_(("sending", "accepted", "canceled")),
                # Of a job that has ended, as long as somebody still asks what its run cost.
                or_(jobs.c.finished_at.is_(None), reservations.c.at >= bindparam("followed")),
            ),
        ),
    )
)
_BOOKED = select(cost_lines.c.amount).where(
    cost_lines.c.workspace == bindparam("at_workspace"),
    cost_lines.c.amount.is_not(None),
    cost_lines.c.booked_at >= bindparam("start"),
)
# The priced cost lines of each scope since a moment.
BOOKED = {
    "workspace": _BOOKED,
    "type": _BOOKED.where(cost_lines.c.type == bindparam("at_name")),
    "account": _BOOKED.join(jobs, jobs.c.id == cost_lines.c.job_id).where(
        jobs.c.account == bindparam("at_name")
    ),
}
# What the attempts of jobs have reserved.
RESERVATIONS_OF = (
    select(reservations)
    .where(reservations.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(reservations.c.id)
)
# An open reservation ends, or is marked.
CHANGE_RESERVATION = update(reservations).where(
    reservations.c.id == bindparam("at_id"), reservations.c.freed_at.is_(None)
)
# All of a budget's open reservations end.
FREE_ALL = (
    update(reservations)
    .where(
        *[reservations.c[column] == bindparam(f"at_{column}") for column in _PLACE],
        reservations.c.freed_at.is_(None),
    )
    .values(freed_at=bindparam("now"), freed_place=bindparam("number"))
)
# Jobs that wait for a budget, which nobody holds; the oldest first.
HELD_BACK = (
    select(jobs.c.id)
    .where(
        jobs.c.workspace == bindparam("workspace"),
        jobs.c.status == "queued",
        jobs.c.phase == "budget",
        jobs.c.budget.in_(bindparam("labels", expanding=True)),
        jobs.c.due_at > bindparam("now"),
        jobs.c.lease_state == "free",
    )
    .order_by(jobs.c.created_at, jobs.c.id)
    .limit(bindparam("n"))
)
# Let a waiting job look at its budget again at its time, if it still waits and nobody holds it.
LET_ON = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("at_id"),
        jobs.c.lease_state == "free",
        jobs.c.phase == "budget",
        jobs.c.due_at > bindparam("at_due"),
    )
    .values(due_at=bindparam("at_due"), wait_until=bindparam("at_due"), version=jobs.c.version + 1)
)
# Every statement here that changes a job, for the test that reads the guards.
GUARDED = (LET_ON,)
# How many jobs each budget holds.
WAITING = (
    select(jobs.c.budget, func.count().label("waiting"))
    .where(jobs.c.workspace == bindparam("workspace"), jobs.c.status == "queued", jobs.c.phase == "budget")
    .group_by(jobs.c.budget)
)

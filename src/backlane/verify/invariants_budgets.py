"""I18: reserved and settled spend never passes a hard budget at commit time. Pure, over rows.

Whatever changes a budget takes the next place of its row, under its lock: the places are the order of the commits.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from backlane.core.budget import FOLLOWED, Scope, label, period_start
from backlane.core.schedule import SECOND
from backlane.verify.evidence import Evidence, Row, data_of

Finding = Iterator[str]
# What was begun beside a change of a budget, or booked beside a reservation without a place of its own, milliseconds.
_BESIDE = SECOND
_CHANGED = "budget.changed"
_NEVER_BOUGHT = frozenset({"refused", "not_sent"})


class _Terms(NamedTuple):
    """What a budget says from a place and a moment on; no limit where it was removed."""

    place: int
    at: int
    limit: Decimal | None
    period: str


class _Budget:
    """One budget with all that counts for it."""

    def __init__(self, evidence: Evidence, row: Row) -> None:
        self.row = row
        self.name = label(row)
        accounts = {job["id"]: job["account"] for job in evidence.jobs}
        types = {job["id"]: job["type"] for job in evidence.jobs}
        owner = {Scope.ACCOUNT: accounts, Scope.TYPE: types}.get(row["scope"])
        self.jobs = {
            job["id"]
            for job in evidence.jobs
            if job["workspace"] == row["workspace"] and (owner is None or owner[job["id"]] == row["name"])
        }
        self.ended = {job["id"]: job["finished_at"] for job in evidence.jobs}
        self.attempts = {one["id"]: one for one in evidence.attempts if one["job_id"] in self.jobs}
        self.lines = {one["attempt_id"]: one for one in evidence.cost_lines if one["job_id"] in self.jobs}
        mine = [one for one in evidence.reservations if _same(one, row)]
        self.reservations = sorted(mine, key=lambda one: one["place"])
        self.terms = sorted(_terms(evidence, row))

    def terms_at(self, place: int) -> _Terms | None:
        """What the budget said at a place."""
        return next((one for one in reversed(self.terms) if one.place < place), None)


def _same(one: Row, other: Row) -> bool:
    return all(one[column] == other[column] for column in ("workspace", "scope", "name"))


def _terms(evidence: Evidence, row: Row) -> Iterator[_Terms]:
    for line in evidence.audit:
        here = line["action"] == _CHANGED and line["workspace"] == row["workspace"]
        if here and line["subject"] == label(row)[:200]:
            data = data_of(line)
            to: dict[str, Any] = data["to"] or {"limit": None, "period": "total"}
            limit = None if to["limit"] is None else Decimal(to["limit"])
            yield _Terms(data["place"], line["at"], limit, to["period"])


def budgets_are_hard(evidence: Evidence) -> Finding:
    """I18: no run was sent that its budgets had no room for, or that reserved nothing; what is settled is free."""
    for row in evidence.budgets:
        budget = _Budget(evidence, row)
        yield from _never_passed(budget)
        yield from _freed_when_settled(budget)
        yield from _all_reserved(budget)
        yield from _counted_right(budget)


def _never_passed(budget: _Budget) -> Finding:
    for one in budget.reservations:
        terms = budget.terms_at(one["place"])
        if terms is None or terms.limit is None:
            yield f"{one['id']} reserves of {budget.name}, which was not set"
            continue
        start = period_start(terms.period, one["at"])
        spent = _spent_before(budget, one, start)
        held = sum((Decimal(other["amount"]) for other in _open_at(budget, one, start)), Decimal(0))
        if spent + held > terms.limit:
            yield (
                f"{one['id']} was reserved with {spent} spent and {held} reserved of {budget.name}, "
                f"whose limit is {terms.limit}"
            )


def _spent_before(budget: _Budget, one: Row, start: int) -> Decimal:
    """What was booked before this reservation in its period."""
    freed = {other["attempt_id"]: other["freed_place"] for other in budget.reservations}
    found = Decimal(0)
    for line in budget.lines.values():
        if line["amount"] is None or line["booked_at"] < start:
            continue
        place = freed.get(line["attempt_id"])
        before = line["booked_at"] < one["at"] - _BESIDE if place is None else place < one["place"]
        found += Decimal(line["amount"]) if before else 0
    return found


def _open_at(budget: _Budget, one: Row, start: int) -> Iterator[Row]:
    """The reservations that counted as this one was made, it included."""
    for other in budget.reservations:
        if other["place"] > one["place"] or (other["freed_place"] or one["place"] + 1) <= one["place"]:
            continue
        unpriced = other["unpriced_at"]
        attempt = budget.attempts.get(other["attempt_id"])
        in_doubt = attempt is None or attempt["unknown_at"] is not None
        marked = unpriced is not None and (unpriced >= start and unpriced < one["at"] - _BESIDE)
        ended = budget.ended.get(other["job_id"])
        followed = ended is None or ended > one["at"] + _BESIDE or other["at"] >= start - FOLLOWED
        out = followed and not in_doubt and (unpriced is None or unpriced > one["at"] + _BESIDE)
        if other["at"] >= start or marked or out:
            yield other


def _freed_when_settled(budget: _Budget) -> Finding:
    for one in budget.reservations:
        line, attempt = budget.lines.get(one["attempt_id"]), budget.attempts.get(one["attempt_id"])
        is_open = one["freed_at"] is None
        if is_open and line is not None and line["amount"] is not None:
            yield f"{one['id']} is still reserved, its cost was booked"
        elif is_open and line is not None and one["unpriced_at"] is None:
            yield f"{one['id']} is not marked, its cost was booked as unknown"
        elif is_open and attempt is not None and attempt["state"] in _NEVER_BOUGHT:
            yield f"{one['id']} is still reserved, its run is {attempt['state']}"
        elif not is_open and line is None and _may_cost(budget, one, attempt):
            yield f"{one['id']} was freed, and nobody knows what its run cost"


def _may_cost(budget: _Budget, one: Row, attempt: Row | None) -> bool:
    """Whether a freed reservation's run may still cost; all are freed where a budget is removed."""
    removed = {terms.place for terms in budget.terms if terms.limit is None}
    never = attempt is not None and attempt["state"] in _NEVER_BOUGHT
    return not never and one["freed_place"] not in removed


def _all_reserved(budget: _Budget) -> Finding:
    reserved = {one["attempt_id"] for one in budget.reservations}
    for attempt in budget.attempts.values():
        sent = attempt["sent_at"]
        if sent is None or attempt["stray"] or attempt["id"] in reserved:
            continue
        if _in_force(budget.terms, sent - _BESIDE) and _in_force(budget.terms, sent + _BESIDE):
            yield f"{attempt['id']} was sent and reserved nothing of {budget.name}"


def _in_force(terms: Sequence[_Terms], at: int) -> bool:
    newest = next((one for one in reversed(terms) if one.at <= at), None)
    return newest is not None and newest.limit is not None


def _counted_right(budget: _Budget) -> Finding:
    row = budget.row
    if row["limit"] is None:
        return
    most = least = Decimal(0)
    for line in budget.lines.values():
        if line["amount"] is not None and line["booked_at"] >= row["spent_since"]:
            most += Decimal(line["amount"])
            # A transaction that did not see the new budget: what it booked is counted with the next change.
            beside = abs(line["booked_at"] - row["since"]) <= _BESIDE
            least += 0 if beside else Decimal(line["amount"])
    if not least <= Decimal(row["spent"]) <= most:
        yield f"{budget.name} says that {row['spent']} is spent, its cost lines say {most}"


BUDGET_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {"I18": budgets_are_hard}

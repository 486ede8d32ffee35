"""Budgets' arithmetic: periods in UTC, what is spent in the one that runs, and what a run reserves."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from backlane.core.budget import label, period_end, period_start, reserved_by, spent_in


def at(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp() * 1000)  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("period", "now", "start", "end"),
    [
        ("day", at(2026, 2, 28, 23, 59, 59), at(2026, 2, 28), at(2026, 3, 1)),
        ("day", at(2026, 3, 1), at(2026, 3, 1), at(2026, 3, 2)),
        ("month", at(2026, 1, 31, 12), at(2026, 1, 1), at(2026, 2, 1)),
        ("month", at(2026, 12, 31, 23, 59, 59), at(2026, 12, 1), at(2027, 1, 1)),
        ("month", at(2028, 2, 29), at(2028, 2, 1), at(2028, 3, 1)),
        ("total", at(2026, 5, 5), 0, None),
    ],
)
def test_a_period_begins_and_ends_in_utc(period: str, now: int, start: int, end: int | None) -> None:
    assert (period_start(period, now), period_end(period, now)) == (start, end)


def test_what_was_spent_in_a_former_period_is_not_spent_in_this_one() -> None:
    row = {"period": "day", "spent": "3.50", "spent_since": at(2026, 5, 5)}
    assert spent_in(row, at(2026, 5, 5, 23)) == (Decimal("3.50"), at(2026, 5, 5))
    assert spent_in(row, at(2026, 5, 6)) == (Decimal(0), at(2026, 5, 6))
    # A clock that is a little behind the one that began the period.
    assert spent_in(row, at(2026, 5, 4, 23)) == (Decimal("3.50"), at(2026, 5, 5))


@pytest.mark.parametrize(
    ("max_cost", "settled", "reserved"),
    [(None, "5", "1.00"), ("2", "0", "2"), ("2", "0.5", "1.5"), ("2", "2", "1.00"), ("2", "2.5", "1.00")],
)
def test_a_run_reserves_what_its_job_may_still_cost_and_never_nothing(
    max_cost: str | None, settled: str, reserved: str
) -> None:
    assert reserved_by(max_cost, Decimal(settled), "1.00") == Decimal(reserved)


def test_a_budget_is_named_by_its_scope_and_whose_it_is() -> None:
    assert label({"scope": "workspace", "name": ""}) == "workspace"
    assert label({"scope": "account", "name": "acme:eu"}) == "account:acme:eu"

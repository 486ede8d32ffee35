"""Hard money budgets: whose spending they cap, for how long, and what a run takes of them before it is sent. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from backlane.core.schedule import DAY, MINUTE, Timings

# The code of a job that waits because a budget has no room for its run.
REACHED = "budget_reached"
# What a run without a max_cost reserves, US dollars, where a budget does not say.
ASSUMED = "1.00"
# A transaction that did not see a new budget has ended by then: until then what is spent is counted anew.
SETTLES = MINUTE
# The run of an ended job is followed for its cost so long; what it reserved before counts no longer than that.
FOLLOWED = Timings().follow_at_most


class Scope(StrEnum):
    """Whose spending a budget caps: the workspace's, one customer's (`jobs.account`), or one job type's."""

    ACCOUNT = "account"
    TYPE = "type"
    WORKSPACE = "workspace"


class Period(StrEnum):
    """After which time a budget begins anew, in UTC; `total` never does."""

    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


def period_start(period: str, now: int) -> int:
    """When the period that is running began, milliseconds since 1970."""
    if period == Period.TOTAL:
        return 0
    if period == Period.DAY:
        return now - now % DAY
    day = datetime.fromtimestamp(now / 1000, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp()) * 1000


def period_end(period: str, now: int) -> int | None:
    """When the next period begins; None where none does."""
    if period == Period.TOTAL:
        return None
    if period == Period.DAY:
        return period_start(period, now) + DAY
    # No month has more than 31 days.
    return period_start(period, period_start(period, now) + 32 * DAY)


def label(budget: Mapping[str, Any]) -> str:
    """A budget in one word: its scope and whose it is."""
    return f"{budget['scope']}:{budget['name']}" if budget["name"] else str(budget["scope"])


def spent_in(budget: Mapping[str, Any], now: int) -> tuple[Decimal, int]:
    """What was booked in the period that is running, and when that began."""
    start = period_start(budget["period"], now)
    if budget["spent_since"] < start:
        return Decimal(0), start
    return Decimal(budget["spent"]), budget["spent_since"]


def reserved_by(max_cost: str | None, settled: Decimal, assume: str) -> Decimal:
    """What a run reserves: what its job may still cost; where nobody said, or nothing is left, what is assumed."""
    left = Decimal(0) if max_cost is None else Decimal(max_cost) - settled
    return left if left > 0 else Decimal(assume)


def reservation_id(attempt_id: str, scope: str) -> str:
    """An attempt has one reservation in each scope."""
    return f"{attempt_id}:{scope}"

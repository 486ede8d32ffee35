"""When the next create or look may go out: learned from the provider's headers, shared by all jobs of an account.

Pure state; the time and chance come in by argument. It orders calls, it never makes one.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def duration(text: str | None) -> int | None:
    """A header's duration such as `6ms` or `1m0.052s`, in milliseconds; None if it is none."""
    if not text:
        return None
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return int(sum(float(number) * _UNITS[unit] for number, unit in parts))


def retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """How long the provider asks us to wait, in milliseconds; None where it says nothing sensible."""
    for name, unit in (("retry-after-ms", 1), ("retry-after", 1000)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            number = float(raw)
        except ValueError:
            number = _until(raw, now) / unit
        if math.isfinite(number) and number > 0:
            return int(min(number * unit, 10 * _UNITS["d"]))
    return None


def _until(raw: str, now: int) -> float:
    """The milliseconds until an HTTP date; 0 for what is no date."""
    try:
        moment = parsedate_to_datetime(raw)
    except (TypeError, ValueError):
        return 0
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000 - now


@dataclass(slots=True)
class _Creates:
    held_until: int = 0
    remaining: int | None = None
    resets_at: int = 0


@dataclass(slots=True)
class _Looks:
    tokens: float
    filled_at: int
    held_until: int = 0


@dataclass(slots=True)
class Pace:
    """The shared budgets: creates per account and model, looks per account."""

    now: Callable[[], int]
    chance: Callable[[], float]
    looks_per_second: float = 20.0
    looks_burst: float = 40.0
    _creates: dict[tuple[str, str], _Creates] = field(default_factory=dict[tuple[str, str], _Creates])
    _looks: dict[str, _Looks] = field(default_factory=dict[str, _Looks])

    def create_wait(self, account: str, model: str) -> int:
        """Milliseconds until a create may go out; 0 takes one of the places that are left."""
        now, state = self.now(), self._creates.setdefault((account, model), _Creates())
        if now < state.held_until:
            # Everybody waits for the same moment: spread them over a tenth of it.
            return state.held_until - now + int((state.held_until - now) * 0.1 * self.chance())
        if state.remaining is None or now >= state.resets_at:
            state.remaining = None
            return 0
        if state.remaining > 0:
            state.remaining -= 1
            return 0
        return max(1, state.resets_at - now + int(1000 * self.chance()))

    def look_wait(self, account: str) -> int:
        """Milliseconds until a look may go out; 0 takes a place in the shared budget."""
        now = self.now()
        state = self._looks.setdefault(account, _Looks(self.looks_burst, now))
        if now < state.held_until:
            return state.held_until - now
        gained = max(0, now - state.filled_at) * self.looks_per_second / 1000
        state.tokens = min(self.looks_burst, state.tokens + gained)
        state.filled_at = now
        if state.tokens >= 1:
            state.tokens -= 1
            return 0
        return max(1, int((1 - state.tokens) * 1000 / self.looks_per_second))

    def saw_create(self, account: str, model: str, headers: Mapping[str, str]) -> None:
        """Learn from the rate-limit headers of a create's reply."""
        state = self._creates.setdefault((account, model), _Creates())
        for kind in ("requests", "tokens"):
            remaining = headers.get(f"x-ratelimit-remaining-{kind}", "")
            reset = duration(headers.get(f"x-ratelimit-reset-{kind}"))
            if not remaining.isdigit() or reset is None:
                continue
            left = int(remaining) if kind == "requests" else int(int(remaining) > 0) * 1_000_000
            if left == 0 or state.remaining is None or kind == "requests":
                state.remaining, state.resets_at = left, self.now() + reset
            if left == 0:
                return

    def hold_creates(self, account: str, model: str, wait: int) -> None:
        """The provider asked for a pause of this many milliseconds."""
        state = self._creates.setdefault((account, model), _Creates())
        state.held_until = max(state.held_until, self.now() + min(wait, 15 * 60_000))

    def hold_looks(self, account: str, wait: int) -> None:
        """The same for looks."""
        state = self._looks.setdefault(account, _Looks(self.looks_burst, self.now()))
        state.held_until = max(state.held_until, self.now() + min(wait, 15 * 60_000))

"""When the next create or look may go out: learned from the provider's headers, shared by all jobs of an account.

Pure state; the time and chance come in by argument. It orders calls, it never makes one.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)")
_COUNT = re.compile(r"[0-9]{1,12}")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WAIT_AT_MOST = 10 * _UNITS["d"]
_HOLD_AT_MOST = 15 * _UNITS["m"]
_LIMITS = ("requests", "tokens", "project-tokens")
# After a pause creates come back gently: two at once, twice as many each second, all after this long.
_EASE = 10_000
_LOOK_WAIT_AT_MOST = 60_000
_JITTER = 250
# After "slow down" creates go out at half of the last minute's rate for this long (the provider's error guide).
_SLOW_FOR = 15 * _UNITS["m"]
_SLOWEST, _MINUTE = 10_000, 60_000


def duration(text: str | None) -> int | None:
    """A header's duration such as `6ms` or `1m0.052s`, in milliseconds; None if it is none."""
    parts = _PART.findall(text or "")
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return min(math.ceil(sum(float(number) * _UNITS[unit] for number, unit in parts)), _WAIT_AT_MOST)


def retry_after(headers: Mapping[str, str], now: int) -> int | None:
    """How long the provider asks us to wait, in milliseconds; None where it says nothing sensible."""
    for name, unit in (("retry-after-ms", 1), ("retry-after", 1000)):
        raw = headers.get(name)
        if raw is None:
            continue
        try:
            number = float(raw) * unit
        except ValueError:
            number = _until(raw, now)
        if math.isfinite(number) and number > 0:
            return max(1, int(min(number, _WAIT_AT_MOST)))
    return None


def poll_after(headers: Mapping[str, str]) -> int | None:
    """When the provider suggests to look again, in milliseconds; None where it says nothing sensible."""
    raw = headers.get("openai-poll-after-ms", "")
    return min(int(raw), _WAIT_AT_MOST) if _COUNT.fullmatch(raw) else None


def _until(raw: str, now: int) -> float:
    """The milliseconds until an HTTP date; 0 for what is no date."""
    try:
        moment = parsedate_to_datetime(raw)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - datetime.fromtimestamp(0, UTC)).total_seconds() * 1000 - now
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0


def _number(headers: Mapping[str, str], name: str) -> int | None:
    raw = headers.get(name, "")
    return int(raw) if _COUNT.fullmatch(raw) else None


@dataclass(slots=True)
class _Window:
    """One rate limit as the provider last told it."""

    remaining: int
    limit: int | None
    resets_at: int

    @property
    def few(self) -> bool:
        """Whether what is left should be spread over the time until the reset."""
        return self.limit is not None and self.remaining <= max(1, self.limit // 20)


@dataclass(slots=True)
class _Creates:
    held_until: int | None = None
    released: int = 0
    promised: int = 0
    spread_until: int = 0
    sent: deque[int] = field(default_factory=lambda: deque[int](maxlen=10_000))
    slow_until: int = 0
    slow_step: int = 0
    slow_next: int = 0
    slow_promised: int = 0
    windows: dict[str, _Window] = field(default_factory=dict[str, _Window])


@dataclass(slots=True)
class _Looks:
    tokens: float
    filled_at: int
    asked_at: int = 0
    held_until: int = 0
    promised_until: int = 0


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
        _forget_old(state, now)
        for window in state.windows.values():
            if window.remaining == 0:
                _hold(state, window.resets_at, now)
        if state.held_until is not None:
            wait = self._ease(state, state.held_until, now)
            if wait > 0:
                return wait
        if now < state.spread_until:
            return state.spread_until - now + int(_JITTER * self.chance())
        wait = _slowed(state, now)
        if wait > 0:
            return wait + int(_JITTER * self.chance())
        state.sent.append(now)
        requests = state.windows.get("requests")
        if requests is not None and requests.remaining > 0:
            if requests.few:
                state.spread_until = now + (requests.resets_at - now) // (requests.remaining + 1)
            requests.remaining -= 1
        return 0

    def _ease(self, state: _Creates, held_until: int, now: int) -> int:
        """Everybody waits for the same moment: each gets a place of its own after it."""
        over = now - held_until
        if over >= 0 and state.released < int(2 * 2 ** (over / 1000)):
            state.released += 1
            return 0
        state.promised += 1
        place = min(int(1000 * math.log2(max(1.0, state.promised / 2))), _EASE)
        return max(1, held_until + place - now) + int(_JITTER * self.chance())

    def look_wait(self, account: str) -> int:
        """Milliseconds until a look may go out; 0 takes a place in the shared budget.

        Who has to wait is told a moment of its own, so that a thousand jobs do not ask again together.
        """
        now = self.now()
        state = self._looks_of(account, now)
        if now < state.asked_at:
            # The clock was set back: what was promised and filled by it until then says nothing any more.
            state.promised_until, state.filled_at = now, min(state.filled_at, max(now, state.held_until))
        state.asked_at = now
        gained = max(0, now - state.filled_at) * self.looks_per_second / 1000
        state.tokens = min(self.looks_burst, state.tokens + gained)
        state.filled_at = max(now, state.filled_at)
        if now >= state.held_until and state.tokens >= 1:
            state.tokens -= 1
            return 0
        interval = math.ceil(1000 / self.looks_per_second)
        refilled = now + math.ceil((1 - min(state.tokens, 1)) * 1000 / self.looks_per_second)
        state.promised_until = max(state.promised_until + interval, state.held_until, refilled)
        at_most = max(state.held_until - now, 0) + _LOOK_WAIT_AT_MOST
        return max(1, min(state.promised_until - now, at_most - int(interval * self.chance())))

    def saw_create(self, account: str, model: str, headers: Mapping[str, str]) -> None:
        """Learn from the rate-limit headers of a create's reply."""
        state = self._creates.setdefault((account, model), _Creates())
        for kind in _LIMITS:
            remaining = _number(headers, f"x-ratelimit-remaining-{kind}")
            reset = duration(headers.get(f"x-ratelimit-reset-{kind}"))
            if remaining is not None and reset is not None:
                limit = _number(headers, f"x-ratelimit-limit-{kind}")
                resets_at = self.now() + min(reset, _HOLD_AT_MOST)
                state.windows[kind] = _Window(remaining, limit, resets_at)

    def hold_creates(self, account: str, model: str, wait: int) -> None:
        """The provider asked for a pause of this many milliseconds."""
        now, state = self.now(), self._creates.setdefault((account, model), _Creates())
        _hold(state, now + min(wait, _HOLD_AT_MOST), now)

    def slow_creates(self, account: str, model: str) -> None:
        """The provider said "slow down": half of the rate of the last minute, for a quarter of an hour."""
        now, state = self.now(), self._creates.setdefault((account, model), _Creates())
        lately = sum(1 for at in state.sent if now - at < _MINUTE)
        state.slow_step = min(_SLOWEST, 2 * _MINUTE // max(1, lately))
        state.slow_until, state.slow_next = now + _SLOW_FOR, now + state.slow_step
        state.slow_promised = 0

    def hold_looks(self, account: str, wait: int) -> None:
        """The same for looks; what was saved up for a burst is gone."""
        now = self.now()
        state = self._looks_of(account, now)
        state.held_until = max(state.held_until, now + min(wait, _HOLD_AT_MOST))
        state.tokens, state.filled_at = 1.0, state.held_until

    def _looks_of(self, account: str, now: int) -> _Looks:
        return self._looks.setdefault(account, _Looks(self.looks_burst, now))


def _hold(state: _Creates, until: int, now: int) -> None:
    """Let no create out before then, and few at once after it."""
    if state.held_until is None or now >= state.held_until:
        # A new pause; during one, the places already promised stay promised.
        state.released = state.promised = 0
    state.held_until = max(state.held_until or 0, until)


def _slowed(state: _Creates, now: int) -> int:
    """Milliseconds until a place of one's own while the rate is cut; 0 takes it."""
    if now >= state.slow_until:
        return 0
    if now + _JITTER >= state.slow_next:
        state.slow_next = max(now, state.slow_next) + state.slow_step
        return 0
    place = max(state.slow_promised, state.slow_next)
    state.slow_promised = place + state.slow_step
    # Places after the cut's end come ten times as fast: the rate rises again, and nobody comes in a herd.
    over = max(0, place - state.slow_until)
    return place - over + over // 10 - now


def _forget_old(state: _Creates, now: int) -> None:
    for kind in [kind for kind, window in state.windows.items() if now >= window.resets_at]:
        del state.windows[kind]
    if state.held_until is not None and now >= state.held_until + _EASE:
        state.held_until = None

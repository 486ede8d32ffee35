"""When to do things: looks, retries, waits. Pure arithmetic over milliseconds; chance comes in by argument."""

from dataclasses import dataclass

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Timings:
    """The waits of the whole product, in milliseconds; settings fill them."""

    call_timeout: int = 30 * SECOND
    lease: int = 90 * SECOND
    unknown_wait: int = 15 * SECOND
    cancel_wait: int = 60 * SECOND
    look_first: int = 1 * SECOND
    look_max: int = 60 * SECOND
    retry_first: int = 1 * SECOND
    retry_max: int = 60 * SECOND
    retry_after_max: int = 15 * MINUTE
    incident_probe: int = 30 * SECOND
    unloaded_probe: int = 60 * SECOND
    follow_at_most: int = 1 * DAY


def look_delay(age: int, timings: Timings, hint: int | None, chance: float) -> int:
    """How long to wait before the next look at a run of this age.

    Looks back off with the run's age (a fifth of it), so a long run costs few requests and is still
    seen soon relative to its length. A provider's hint is a lower bound, capped against absurd values.
    `chance` in [0, 1) spreads looks by 10 %.
    """
    delay = min(max(timings.look_first, age // 5), timings.look_max)
    delay = int(delay * (0.95 + 0.1 * chance))
    if hint is not None:
        delay = max(delay, min(hint, timings.retry_after_max))
    return delay


def retry_delay(tries: int, timings: Timings, hint: int | None, chance: float) -> int:
    """How long to wait before try number `tries` + 1: 1, 2, 4 … seconds with jitter.

    A provider's Retry-After is a lower bound; an absurd one is capped at `retry_after_max`.
    """
    delay = min(timings.retry_first * 2 ** min(tries, 20), timings.retry_max)
    delay = int(delay * (0.75 + 0.5 * chance))
    if hint is not None and hint > 0:
        delay = max(delay, min(hint, timings.retry_after_max) + int(timings.retry_first * chance))
    return delay


def cancel_delay(asked_for: int, timings: Timings) -> int:
    """How long until the next look at a run whose cancel was sent `asked_for` milliseconds ago."""
    return min(max(timings.look_first // 2, asked_for // 2), timings.look_max)

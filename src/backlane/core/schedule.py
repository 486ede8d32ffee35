"""When to do things: looks, retries, waits. Pure arithmetic over milliseconds; chance comes in by argument."""

from dataclasses import dataclass

from backlane.core.duration import Usual

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
    # A run whose end was told and that reads as going on: the first look after that; later ones are farther apart.
    look_told: int = SECOND // 2
    # Live text is gathered this long before it is stored.
    delta_wait: int = 100
    retry_first: int = 1 * SECOND
    retry_max: int = 60 * SECOND
    retry_after_max: int = 15 * MINUTE
    incident_probe: int = 30 * SECOND
    incident_probe_max: int = 5 * MINUTE
    unloaded_probe: int = 60 * SECOND
    # A job that a budget holds looks again so often; what frees money wakes it before.
    budget_wait: int = 60 * SECOND
    follow_at_most: int = 1 * DAY
    # A run that was reported canceled is looked at once more: it may have completed all the same.
    late_look: int = 3 * MINUTE
    # Added to an action's hard time-out before it counts as lost, and to the quiet period after it.
    effect_slack: int = 1 * SECOND
    # A zero-retention account keeps a run's result about this long after its end.
    retention: int = 10 * MINUTE


def look_delay(
    age: int,
    timings: Timings,
    hint: int | None,
    chance: float,
    usual: Usual | None = None,
    *,
    hinted: bool = False,
    window: int | None = None,
    told: int | None = None,
) -> int:
    """How long to wait before the next look at a run of this age.

    Nothing known: looks back off with the run's age (a fifth of it). Where it is known how long such runs
    take, the first look falls when the shortest have ended, and each later one is late by at most a tenth
    of the run. Where the provider's events reach us (`hinted`), an end will be told: a look is only for
    events that are lost. A provider's hint is a lower bound, capped against absurd values. No wait exceeds half of
    the time a zero-retention account keeps a result. `chance` in [0, 1) spreads looks by 10 %.
    `window` is how long the provider may take for a cheaper run: looks are far apart until that is near.
    `told` is how long ago an event said that the run has ended: it reads as going on, so the look came too soon.
    """
    spread = 0.95 + 0.1 * chance
    if hinted:
        delay = int(_backstop(age, timings, usual) * spread)
    elif window is not None:
        delay = _windowed_delay(age, timings, usual, window, spread)
    elif usual is None:
        delay = int(min(max(timings.look_first, age // 5), timings.look_max) * spread)
    else:
        delay = _learned_delay(age, timings, usual, spread)
    if told is not None:
        delay = min(delay, told_delay(told, timings))
    if hint is not None:
        delay = max(delay, min(hint, timings.retry_after_max))
    return min(delay, timings.retention // 2)


def told_delay(told: int, timings: Timings) -> int:
    """What an event tells may be readable a little later. Each wait is as long as all before it, lest it is a lie."""
    return max(timings.look_told, told)


def _backstop(age: int, timings: Timings, usual: Usual | None) -> int:
    """The first look falls when nearly every run has long ended, later ones well before a result may be gone."""
    first = MINUTE if usual is None else 2 * usual.p90 + timings.look_first
    return max(first - age, timings.look_first) if age < first else timings.retention // 2


def _learned_delay(age: int, timings: Timings, usual: Usual, spread: float) -> int:
    first = usual.p05 + _late(usual.p05, timings)
    if age >= first:
        return int(min(_late(age, timings), timings.look_max) * spread)
    # Far from the first end one early look is cheap, and shows a run that failed at once.
    if age < 2 * timings.look_first and first > 30 * SECOND:
        return int(2 * timings.look_first * spread)
    # Never later than meant: this wait is long, and a tenth of it is longer than an end may be late.
    return max(int((first - age) * (spread - 0.05)), timings.look_first)


def _windowed_delay(age: int, timings: Timings, usual: Usual | None, window: int, spread: float) -> int:
    """Looks at a run that may take its window: as far apart as a result surely lives, closer near the end.

    At first each comes at twice the age of the one before: few enough, and an early end is seen early.
    """
    rare, often = timings.retention // 2, timings.look_max
    near = window - window // 10
    if age >= near:
        return int(often * spread)
    if usual is not None and age >= usual.p05:
        return int(min(max(_late(age, timings), often), rare) * spread)
    known = near if usual is None else min(near, usual.p05)
    return int(min(rare, max(2 * timings.look_first, age), max(known - age, often)) * spread)


def _late(age: int, timings: Timings) -> int:
    """How late an end may be seen: a tenth of the run, at least two first looks."""
    return max(2 * timings.look_first, age // 10)


def retry_delay(tries: int, timings: Timings, hint: int | None, chance: float) -> int:
    """How long to wait before try number `tries` + 1: 1, 2, 4 … seconds with jitter.

    A provider's Retry-After is a lower bound; an absurd one is capped at `retry_after_max`.
    """
    delay = min(timings.retry_first * 2 ** min(tries, 20), timings.retry_max)
    delay = int(delay * (0.75 + 0.5 * chance))
    if hint is not None and hint > 0:
        delay = max(delay, min(hint, timings.retry_after_max) + int(timings.retry_first * chance))
    return delay


def cancel_delay(asked_for: int, timings: Timings, told: int | None = None) -> int:
    """How long until the next look at a run whose cancel was sent `asked_for` milliseconds ago."""
    delay = min(max(timings.look_first // 2, asked_for // 2), timings.look_max)
    return delay if told is None else min(delay, told_delay(told, timings))

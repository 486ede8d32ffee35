"""When creates and looks may go out, in virtual time."""

import heapq
from collections.abc import Callable
from itertools import pairwise

import pytest

from backlane.provider.pace import Pace, duration, poll_after, retry_after

MINUTE = 60_000
NOW = 1_795_450_000_000


class Hand:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> int:
        return self.at


def pacing(chance: float = 0.0, **settings: float) -> tuple[Pace, Hand]:
    clock = Hand()
    return Pace(clock, lambda: chance, **settings), clock


def let_out(clock: Hand, askers: int, ask: Callable[[], int]) -> list[int]:
    """Everybody asks, and asks again when told to; when each was let out, in milliseconds from now."""
    start, out, asked = clock.at, list[int](), 0
    line = [(start, number) for number in range(askers)]
    while line:
        at, number = heapq.heappop(line)
        clock.at = max(clock.at, at)
        wait, asked = ask(), asked + 1
        assert wait >= 0
        if wait == 0:
            out.append(clock.at - start)
        else:
            heapq.heappush(line, (clock.at + wait, number))
    assert asked <= askers * 4, "who waits must not ask over and over"
    return out


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("6ms", 6),
        ("20s", 20_000),
        ("1m0.052s", 60_052),
        ("1h2m3s", 3_723_000),
        ("0s", 0),
        ("9" * 12 + "h", 864_000_000),
        ("9" * 400 + "s", None),
        ("", None),
        (None, None),
        ("soon", None),
        ("5", None),
        ("-5s", None),
        ("5s later", None),
        ("²s", None),
    ],
)
def test_reset_durations(text: str | None, milliseconds: int | None) -> None:
    assert duration(text) == milliseconds


@pytest.mark.parametrize(
    ("headers", "milliseconds"),
    [
        ({"retry-after": "20"}, 20_000),
        ({"retry-after": "1", "retry-after-ms": "494"}, 494),
        ({"retry-after": "1", "retry-after-ms": "soon"}, 1000),
        ({"retry-after": "0.5"}, 500),
        ({"retry-after": "Mon, 23 Nov 2026 16:07:10 GMT"}, 30_000),
        ({"retry-after": "Mon, 23 Nov 2026 16:07:10"}, 30_000),
        ({"retry-after": "Mon, 23 Nov 2020 16:07:10 GMT"}, None),
        ({"retry-after": "Mon, 01 Jan 0001 00:00:00 +9999"}, None),
        ({"retry-after": "999999999999999999"}, 864_000_000),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], milliseconds: int | None) -> None:
    assert retry_after(headers, 1_795_450_000_000) == milliseconds


@pytest.mark.parametrize(("raw", "wait"), [("250", 250), ("²", None), ("-1", None), ("9" * 5000, None)])
def test_a_hint_to_look_later(raw: str, wait: int | None) -> None:
    assert poll_after({"openai-poll-after-ms": raw}) == wait


def told(remaining: int, reset: str, *, limit: int = 100, kind: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(remaining),
        f"x-ratelimit-reset-{kind}": reset,
    }


def test_creates_are_free_until_the_provider_says_something() -> None:
    pace, _ = pacing()
    assert [pace.create_wait("default", "m") for _ in range(500)] == [0] * 500


@pytest.mark.parametrize("kind", ["requests", "tokens", "project-tokens"])
def test_nothing_left_means_waiting_for_the_reset(kind: str) -> None:
    pace, clock = pacing()
    pace.saw_create("default", "m", told(0, "20s", kind=kind))
    assert pace.create_wait("default", "m") == 20_000
    assert pace.create_wait("default", "other") == 0
    assert pace.create_wait("second", "m") == 0
    clock.at += 20_000
    assert pace.create_wait("default", "m") == 0


def test_the_last_places_are_spread_over_the_time_that_is_left() -> None:
    pace, clock = pacing()
    pace.saw_create("default", "m", told(3, "20s"))
    times = let_out(clock, 3, lambda: pace.create_wait("default", "m"))
    assert times == [0, 5_000, 10_000]


def test_many_places_are_not_spread() -> None:
    pace, _ = pacing()
    pace.saw_create("default", "m", told(50, "20s"))
    assert [pace.create_wait("default", "m") for _ in range(45)] == [0] * 45


def test_a_garbled_header_changes_nothing() -> None:
    pace, _ = pacing()
    pace.saw_create("default", "m", {**told(0, "soon"), "x-ratelimit-remaining-tokens": "²"})
    assert pace.create_wait("default", "m") == 0


def test_a_pause_holds_its_account_and_model_only() -> None:
    pace, _ = pacing()
    pace.hold_creates("default", "m", 3_000)
    assert pace.create_wait("default", "m") == 3_000
    assert pace.create_wait("default", "other") == 0


def test_an_absurd_pause_is_capped() -> None:
    pace, _ = pacing()
    pace.hold_creates("default", "m", 864_000_000)
    pace.hold_looks("default", 864_000_000)
    assert pace.create_wait("default", "m") == 15 * MINUTE
    assert 15 * MINUTE <= pace.look_wait("default") <= 15 * MINUTE + 50


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999])
def test_a_thousand_creates_come_back_gently_after_a_pause(chance: float) -> None:
    pace, clock = pacing(chance)
    pace.hold_creates("default", "m", 5_000)
    times = let_out(clock, 1_000, lambda: pace.create_wait("default", "m"))
    assert min(times) >= 5_000
    assert len([at for at in times if at < 5_250]) <= 3
    assert len([at for at in times if at < 6_000]) <= 4
    assert max(times) <= 17_000


def test_a_new_pause_stops_the_release() -> None:
    pace, clock = pacing()
    pace.hold_creates("default", "m", 1_000)
    clock.at += 1_000
    assert pace.create_wait("default", "m") == 0
    pace.hold_creates("default", "m", 4_000)
    assert pace.create_wait("default", "m") == 4_000


def test_all_is_free_again_some_time_after_a_pause() -> None:
    pace, clock = pacing()
    pace.hold_creates("default", "m", 1_000)
    clock.at += 11_000
    assert [pace.create_wait("default", "m") for _ in range(500)] == [0] * 500


def test_looks_share_one_budget_per_account() -> None:
    pace, clock = pacing(looks_per_second=20, looks_burst=40)
    assert [pace.look_wait("default") for _ in range(40)] == [0] * 40
    assert pace.look_wait("default") == 50
    assert pace.look_wait("second") == 0
    clock.at += 50
    assert pace.look_wait("default") == 0


def test_a_clock_that_is_set_back_stops_no_look_and_makes_nobody_ask_in_circles() -> None:
    pace, clock = pacing(looks_per_second=20, looks_burst=40)
    assert [pace.look_wait("default") for _ in range(40)] == [0] * 40
    for _ in range(100):
        pace.look_wait("default")
    clock.at -= 480_000
    assert pace.look_wait("default") == 50
    times = let_out(clock, 100, lambda: pace.look_wait("default"))
    assert max(times) - min(times) <= 100 * 50
    pace.hold_looks("default", 3_000)
    clock.at -= 1_000
    assert min(let_out(clock, 10, lambda: pace.look_wait("default"))) >= 3_000


def test_a_thousand_looks_keep_the_rate_and_each_asks_about_once() -> None:
    pace, clock = pacing(looks_per_second=20, looks_burst=40)
    times = let_out(clock, 1_000, lambda: pace.look_wait("default"))
    assert max(times) >= (1_000 - 40) * 50 - 50
    for second in range(0, 45_000, 1_000):
        assert len([at for at in times if second < at <= second + 1_000]) <= 21


def test_looks_wait_out_a_pause_and_have_no_burst_after_it() -> None:
    pace, clock = pacing(looks_per_second=20, looks_burst=40)
    pace.hold_looks("default", 3_000)
    times = let_out(clock, 100, lambda: pace.look_wait("default"))
    assert min(times) >= 3_000
    assert len([at for at in times if at <= 4_000]) <= 22


def test_slow_down_halves_the_rate_for_a_quarter_of_an_hour_and_nobody_comes_in_a_herd() -> None:
    pace, clock = pacing(chance=0.5)
    for _ in range(60):
        assert pace.create_wait("a", "m") == 0
        clock.at += 1000
    pace.slow_creates("a", "m")
    out = let_out(clock, 600, lambda: pace.create_wait("a", "m"))
    cut = [at for at in out if at < 15 * MINUTE]
    # One a second before; one every two seconds now.
    assert 430 <= len(cut) <= 451
    assert max(sum(1 for at in cut if start <= at < start + MINUTE) for start in cut) <= 31
    after = [at for at in out if at >= 15 * MINUTE]
    assert len(after) == 600 - len(cut)
    assert max(sum(1 for at in after if start <= at < start + 1000) for start in after) <= 7
    assert pace.create_wait("a", "other") == 0


def test_slow_down_without_traffic_before_it_still_lets_a_create_out_every_ten_seconds() -> None:
    pace, clock = pacing()
    pace.slow_creates("a", "m")
    out = let_out(clock, 30, lambda: pace.create_wait("a", "m"))
    assert out[-1] <= 31 * 10_000
    assert min(b - a for a, b in pairwise(out)) >= 9_000

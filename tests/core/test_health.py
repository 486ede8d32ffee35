"""When a lane is in trouble, when it is tried again, and how its jobs come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.core.health import Counts, first_minute, is_bad, is_trouble, probe_delay, waits_after
from backlane.core.outcome import Accepted, Gone, NotSent, Pending, Refused, Unknown, When
from backlane.core.schedule import MINUTE, Timings

T = Timings()


@pytest.mark.parametrize(
    ("good", "bad", "trouble"),
    [
        (0, 4, False),
        (0, 5, True),
        (5, 5, True),
        (6, 5, False),
        (100, 5, False),
        (100, 100, True),
        (9, 0, False),
    ],
)
def test_five_bad_calls_and_half_of_all_are_trouble(good: int, bad: int, trouble: bool) -> None:
    assert is_trouble(Counts(good, bad)) is trouble


@pytest.mark.parametrize(
    ("outcome", "bad"),
    [
        (Unknown("http_500", ""), True),
        (Unknown("timeout", ""), True),
        (Unknown("connection_lost", ""), True),
        (NotSent(""), True),
        (Refused(When.LATER, "server_is_overloaded", ""), True),
        (Refused(When.LATER, "rate_limit_exceeded", ""), False),
        (Refused(When.INCIDENT, "insufficient_quota", ""), False),
        (Refused(When.NEVER, "request_refused", ""), False),
        (Unknown("reply_too_large", ""), False),
        (Accepted("resp_1", "queued"), False),
        (Pending("queued"), False),
        (Gone(""), False),
    ],
)
def test_what_counts_as_bad_is_trouble_on_the_way_and_not_what_the_provider_says(outcome, bad: bool) -> None:
    assert is_bad(outcome) is bad


def test_probes_go_out_at_half_a_minute_then_ever_more_seldom() -> None:
    assert [probe_delay(n, T) // 1000 for n in range(6)] == [30, 60, 120, 240, 300, 300]
    assert probe_delay(10_000, T) == 300_000


def test_jobs_come_back_two_at_once_then_twice_as_many_each_second() -> None:
    seconds = [waits_after(number) // 1000 for number in range(64)]
    assert [seconds.count(second) for second in range(5)] == [3, 4, 8, 16, 32]


@given(st.integers(0, 100_000))
def test_whoever_came_first_goes_first(number: int) -> None:
    assert 0 <= waits_after(number) <= waits_after(number + 1)


def test_lately_is_this_minute_and_the_two_before() -> None:
    assert [first_minute(now) for now in (0, 10 * MINUTE, 11 * MINUTE - 1)] == [-2, 8, 8]

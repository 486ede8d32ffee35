"""Arithmetic: where a job's time went, when to look again, what a failure means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.core.authority import Controls, gate_for, stricter
from backlane.core.duration import Usual, usual, with_end
from backlane.core.event import OPEN_KEYS, Change, closed_data, part_of, timing
from backlane.core.failure import RETRIED_RUNS, card, meaning
from backlane.core.job import Gate, Phase, is_out
from backlane.core.lane import chosen, verdicts
from backlane.core.meaning import MEANINGS, Cause
from backlane.core.schedule import HOUR, MINUTE, Timings, cancel_delay, look_delay, retry_delay
from tests.values import NOW, an_attempt

T = Timings()
_OPEN_PLACES = [
    ("queued", "ready"), ("queued", "provider"), ("running", "model"), ("running", "check"), ("running", "tool"),
    ("running", "action"), ("needs_review", "output"), ("running", "canceling"),
]  # fmt: skip


@given(
    st.lists(st.tuples(st.sampled_from(_OPEN_PLACES), st.integers(0, 10**7)), min_size=1, max_size=12),
    st.booleans(),
)
def test_the_parts_of_the_time_sum_to_the_wall_time(steps, ended) -> None:
    at, changes = NOW, list[Change]()
    for (status, phase), pause in steps:
        changes.append(Change(at, status, phase))
        at += pause
    if ended:
        changes.append(Change(at, "completed", None))
    parts = timing(changes, at)
    total = sum(round((value or 0) * 1000) for value in parts.values())
    assert total == at - NOW
    reviewed = any(change.status == "needs_review" for change in changes)
    assert (parts["review_seconds"] is not None) == reviewed


def test_each_place_counts_towards_one_part() -> None:
    assert part_of("queued", "retry") == "queued_seconds"
    assert part_of("queued", "provider") == "provider_queued_seconds"
    assert part_of("needs_review", "canceling") == "overhead_seconds"


@given(st.integers(0, 10**8), st.none() | st.integers(0, 10**9), st.floats(0, 0.999))
def test_looks_back_off_and_honour_a_hint(age, hint, chance) -> None:
    delay = look_delay(age, T, hint, chance)
    assert delay >= T.look_first * 0.95
    assert delay <= T.retention // 2
    if hint is not None:
        assert delay >= min(hint, T.retention // 2)


@given(st.lists(st.integers(1, 10**7), min_size=10, max_size=200), st.floats(0, 0.999))
def test_a_run_whose_kind_is_known_is_seen_soon_after_its_end(sample, chance) -> None:
    known = usual(sample)
    for duration in sample:
        age = looks = 0
        while age < duration:
            before, age = age, age + look_delay(age, T, None, chance, known)
            looks += 1
            assert age - before <= T.retention // 2
        if before >= known.p05:
            assert age - duration <= max(2 * T.look_first, duration // 10) * 1.05 + 1


def test_an_estimate_needs_ten_runs_and_forgets_the_oldest() -> None:
    assert usual([1000] * 9) is None
    assert usual([*range(1, 101)]).p50 == 51
    sample: list[int] = []
    for duration in range(300):
        sample = with_end(sample, duration)
    assert (len(sample), sample[0]) == (200, 100)
    assert with_end([5], -1) == [5]


def test_a_long_run_costs_few_looks() -> None:
    age = looks = 0
    while age < 3_600_000:
        age += look_delay(age, T, None, 0.5)
        looks += 1
    assert looks < 85


def test_retries_wait_one_two_four_seconds_and_an_absurd_hint_is_capped() -> None:
    assert [retry_delay(tries, T, None, 0.5) for tries in range(4)] == [1000, 2000, 4000, 8000]
    assert retry_delay(99, T, None, 0.5) == T.retry_max
    assert retry_delay(0, T, 10**12, 0.0) == T.retry_after_max
    assert retry_delay(0, T, 20_000, 0.0) == 20_000
    assert 0 < cancel_delay(0, T) <= cancel_delay(10**9, T) == T.look_max


def test_every_failure_has_a_cause_a_sentence_and_next_steps() -> None:
    for code, what in MEANINGS.items():
        assert what.cause in Cause
        assert what.sentence.endswith("."), code
        assert what.next_steps, code
    assert set(MEANINGS) >= RETRIED_RUNS
    for code in RETRIED_RUNS:
        assert meaning(code).retryable


def test_codes_nobody_has_seen_are_failed_runs_and_policy_codes_are_policy() -> None:
    assert meaning("something_new") is MEANINGS["run_failed"]
    assert meaning("bio_policy").cause is Cause.POLICY
    assert meaning("image_too_large").cause is Cause.INPUT
    told = card("server_error", detail="x" * 900, partial=True, retry_at=None)
    assert told["partial_output"]
    assert len(told["message"]) < 600


def test_the_gate_is_open_only_for_read_only_work_without_secrets() -> None:
    plain, reviewed = Controls(), Controls(reviewed=True)
    assert gate_for("read_only", plain, sensitive=False) is Gate.NONE
    assert gate_for("read_only", plain, sensitive=True) is Gate.SENSITIVE
    assert gate_for("read_only", reviewed, sensitive=False) is Gate.OUTPUT
    for authority in ("draft", "low_risk_write", "external_effect"):
        assert gate_for(authority, plain, sensitive=False) is Gate.OUTPUT


def test_a_gate_is_looser_than_its_authority_only_by_policy_by_draw_or_with_a_reason() -> None:
    policed, waived = Controls(policed=True, reviewed=True), Controls(waived=True)
    assert gate_for("low_risk_write", policed, sensitive=False) is Gate.POLICY
    assert gate_for("low_risk_write", policed, sensitive=True) is Gate.SENSITIVE
    assert gate_for("low_risk_write", Controls(hooked=True), sensitive=False) is Gate.OUTPUT
    assert gate_for("low_risk_write", Controls(), sensitive=False, drawn=True) is Gate.SAMPLED
    assert gate_for("low_risk_write", Controls(), sensitive=False, drawn=False) is Gate.NONE
    assert gate_for("low_risk_write", Controls(hooked=True), sensitive=False, drawn=False) is Gate.POLICY
    assert gate_for("low_risk_write", waived, sensitive=False) is Gate.NONE
    assert gate_for("draft", policed, sensitive=False) is Gate.OUTPUT
    assert gate_for("draft", Controls(), sensitive=False, drawn=False) is Gate.OUTPUT
    assert gate_for("draft", waived, sensitive=True) is Gate.SENSITIVE
    assert gate_for("draft", waived, sensitive=False, drawn=True) is Gate.SAMPLED
    assert gate_for("read_only", policed, sensitive=False) is Gate.OUTPUT
    assert gate_for("read_only", Controls(hooked=True), sensitive=False) is Gate.POLICY
    for controls in (policed, waived, Controls(policed=True, waived=True)):
        assert gate_for("external_effect", controls, sensitive=False, drawn=False) is Gate.OUTPUT


def test_the_stricter_of_two_gates() -> None:
    rising = [Gate.NONE, Gate.POLICY, Gate.SAMPLED, Gate.OUTPUT]
    for place, one in enumerate(rising):
        for other in rising[place:]:
            assert stricter(one, other) is other and stricter(other, one) is other
    assert stricter(Gate.OUTPUT, Gate.SENSITIVE) is Gate.OUTPUT


def test_every_lane_says_why() -> None:
    rows = verdicts(["background", "batch"], None)
    assert [row["lane"] for row in rows] == ["interactive", "background", "batch"]
    assert all(row["reason"] for row in rows)
    assert chosen(rows) == "background"
    assert chosen(verdicts(["batch"], None)) is None
    assert chosen(verdicts(["background", "batch"], "batch")) is None
    both = verdicts(["background", "interactive"], None)
    assert (chosen(both, ["background", "interactive"]), chosen(both, ["interactive", "background"])) == (
        "background",
        "interactive",
    )


def test_the_interactive_lane_says_what_is_weaker() -> None:
    [held] = [row for row in verdicts(["interactive"], None) if row["verdict"] == "yes"]
    assert held["reason"] == "a worker holds it; a crash loses the run and asks"
    [asked] = [row for row in verdicts(["interactive"], "interactive") if row["verdict"] == "yes"]
    assert asked["reason"] == "asked for; a worker holds it; a crash loses the run and asks"
    [bold] = [row for row in verdicts(["interactive"], None, rebuys=True) if row["verdict"] == "yes"]
    assert bold["reason"].endswith("which is bought once more")
    weak = verdicts(["background", "interactive"], None, background=False)
    assert chosen(weak, ["background", "interactive"]) == "interactive"
    assert weak[1]["reason"] == "the provider account has no background mode"


def test_a_closed_event_keeps_only_what_is_known_to_be_open() -> None:
    told = {
        "after": {"status": "running"},
        "usage": {"output_tokens": 9},
        "name": "x.md",
        "sha256": "…",
        "bytes": 4,
    }
    assert closed_data("artifact.added", told) == {"after": {"status": "running"}}
    asked = {"action": "act_1", "origin": "mcp", "type": "the server's own word"}
    assert closed_data("action.proposed", asked) == {"action": "act_1", "origin": "mcp"}
    assert not OPEN_KEYS & {"usage", "name", "sha256", "bytes", "text", "payload_hash", "message"}


def test_an_attempt_is_out_while_the_provider_may_work_on_it() -> None:
    assert Phase.MODEL == "model"
    assert [is_out(an_attempt(state)) for state in ("planned", "sending", "unknown", "accepted", "completed")] == [
        False, True, True, True, False,
    ]  # fmt: skip


@given(
    st.integers(0, 10**8),
    st.none() | st.integers(0, 10**9),
    st.floats(0, 0.999),
    st.none() | st.lists(st.integers(1, 10**7), min_size=10, max_size=20).map(usual),
)
def test_where_ends_are_told_a_look_is_seldom_and_never_too_late(age, hint, chance, known) -> None:
    delay = look_delay(age, T, hint, chance, known, hinted=True)
    assert T.look_first * 0.95 <= delay <= T.retention // 2
    if hint is not None:
        assert delay >= min(hint, T.retention // 2)


def test_the_first_look_at_a_told_run_falls_after_nearly_every_end() -> None:
    known = usual([30_000] * 20)
    assert look_delay(0, T, None, 0.5, None, hinted=True) == 60_000
    assert look_delay(0, T, None, 0.5, known, hinted=True) == 61_000
    assert look_delay(40_000, T, None, 0.5, known, hinted=True) == 21_000
    assert look_delay(61_000, T, None, 0.5, known, hinted=True) == T.retention // 2
    assert look_delay(0, T, None, 0.5, usual([10**7] * 20), hinted=True) == T.retention // 2


@given(st.integers(0, 10**8), st.integers(0, 10**7), st.floats(0, 0.999), st.booleans())
def test_a_told_end_that_reads_as_going_on_is_looked_for_soon(age, told, chance, hinted) -> None:
    usually = look_delay(age, T, None, chance, hinted=hinted)
    delay = look_delay(age, T, None, chance, hinted=hinted, told=told)
    assert delay == min(usually, max(T.look_told, told))
    assert look_delay(age, T, 20_000, chance, hinted=hinted, told=0) == 20_000
    assert cancel_delay(age, T, 0) <= T.look_told < cancel_delay(10**9, T)


def test_a_told_end_that_never_comes_makes_no_busy_loop() -> None:
    looked_at, told = list[int](), 30
    while told < HOUR:
        looked_at.append(told)
        told += look_delay(MINUTE + told, T, None, 0.5, hinted=True, told=told)
    assert looked_at[:5] == [30, 530, 1060, 2120, 4240]
    assert sum(at < T.retention for at in looked_at) <= 12
    assert looked_at[-1] - looked_at[-2] == T.retention // 2


@pytest.mark.parametrize(("window", "at_most"), [(2 * HOUR, 45), (8 * HOUR, 150)])
def test_looks_at_a_window_are_rare_until_its_end_is_near(window: int, at_most: int) -> None:
    age, looks, pauses = 0, 0, list[tuple[int, int]]()
    while age < 2 * window:
        pause = look_delay(age, T, None, 0.5, window=window)
        pauses.append((age, pause))
        looks += age < window
        age += pause
    assert looks <= at_most
    assert all(pause <= T.retention // 2 for _, pause in pauses), (
        "a result must not be gone before it is fetched"
    )
    assert all(pause <= 1.05 * T.look_max for age, pause in pauses if age >= 0.9 * window)
    assert sum(pause > 4 * MINUTE for _, pause in pauses) > looks // 3


def test_a_run_of_a_window_that_ends_early_is_seen_early() -> None:
    for duration in (1_000, 10_000, 100_000):
        age = 0
        while age < duration:
            age += look_delay(age, T, None, 0.5, window=2 * HOUR)
        assert age <= 2.2 * duration + 2 * T.look_first


def test_a_window_that_is_known_is_looked_at_when_its_runs_usually_end() -> None:
    known = Usual(p05=30 * MINUTE, p50=40 * MINUTE, p90=50 * MINUTE)
    before, after = (
        look_delay(age, T, None, 0.5, known, window=8 * HOUR) for age in (20 * MINUTE, 31 * MINUTE)
    )
    assert after < before <= T.retention // 2

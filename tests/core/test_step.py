"""What comes next: the rules about buying, read off as decisions."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from backlane.core.job import IN_DOUBT, RESTORED, AttemptReason, AttemptState, Phase, Status
from backlane.core.lifecycle import TERMINAL
from backlane.core.schedule import Timings
from backlane.core.situation import (
    Adopt,
    AskPerson,
    BeginExpiry,
    CancelRun,
    Check,
    End,
    Fail,
    Look,
    MarkUnknown,
    Plan,
    RunTools,
    Send,
    Settle,
    Situation,
    Wait,
)
from backlane.core.step import decide
from tests.values import NOW, a_job, an_attempt

T = Timings()


def facing(job=None, attempt=None, **changes) -> Situation:
    return Situation(job=job or a_job(), attempt=attempt, timings=T, **changes)


def test_a_new_job_plans_before_it_sends() -> None:
    assert decide(facing(), NOW) == Plan(AttemptReason.FIRST)
    planned = an_attempt()
    assert decide(facing(attempt=planned), NOW) == Send(planned)


def test_a_create_in_flight_is_waited_for_and_never_sent_again() -> None:
    sending = an_attempt(AttemptState.SENDING)
    job = a_job(phase=Phase.PROVIDER)
    assert isinstance(decide(facing(job, sending), NOW + 1), Wait)
    assert decide(facing(job, sending, sender_gone=True), NOW + 1) == MarkUnknown(sending)
    assert decide(facing(job, sending), NOW + 2 * T.call_timeout) == MarkUnknown(sending)


def test_an_unknown_create_waits_then_asks_a_person() -> None:
    unknown = an_attempt(AttemptState.UNKNOWN)
    job = a_job(phase=Phase.PROVIDER)
    assert decide(facing(job, unknown), NOW + 1) == Wait(NOW + T.unknown_wait)
    assert decide(facing(job, unknown), NOW + T.unknown_wait) == AskPerson(unknown)


def test_a_type_that_says_so_buys_again_once_inside_its_budget() -> None:
    unknown = an_attempt(AttemptState.UNKNOWN)
    job, later = a_job(phase=Phase.PROVIDER), NOW + T.unknown_wait
    assert decide(facing(job, unknown, rebuy=True), later) == Plan(AttemptReason.REBUY)
    assert decide(facing(job, unknown, rebuy=True, rebought=True), later) == AskPerson(unknown)
    assert decide(facing(job, unknown, rebuy=True, over_budget=True), later) == AskPerson(unknown)


def test_a_person_who_says_run_again_gets_a_new_attempt() -> None:
    unknown = an_attempt(AttemptState.UNKNOWN)
    assert decide(facing(a_job(phase=Phase.READY), unknown), NOW) == Plan(AttemptReason.PERSON)


def test_calls_are_answered_then_the_next_turn_is_bought() -> None:
    ended = an_attempt(AttemptState.COMPLETED)
    running = a_job(status=Status.RUNNING, phase=Phase.TOOL)
    assert decide(facing(running, ended, calls=2, calls_open=1), NOW) == RunTools(ended)
    assert decide(facing(running, ended, calls=2), NOW) == RunTools(ended)
    assert decide(facing(a_job(), ended, calls=2), NOW) == Plan(AttemptReason.NEXT_TURN)
    assert decide(facing(a_job(), ended, calls=2, calls_open=2), NOW) == RunTools(ended)
    planned = an_attempt(reason=AttemptReason.NEXT_TURN)
    assert decide(facing(a_job(), planned), NOW) == Send(planned)


def test_between_turns_money_time_types_and_incidents_are_asked_first() -> None:
    ended = an_attempt(AttemptState.COMPLETED)
    running = a_job(status=Status.RUNNING, phase=Phase.TOOL)
    assert decide(facing(running, ended, calls=1, calls_open=1, over_budget=True), NOW) == Fail(
        "max_cost_reached"
    )
    assert decide(facing(a_job(), ended, calls=1, over_budget=True), NOW) == Fail("max_cost_reached")
    assert decide(facing(running, ended, calls=1, calls_open=1), running.useful_until) == End("expired")
    unloaded = decide(facing(running, ended, calls=1, calls_open=1, type_loaded=False), NOW)
    assert isinstance(unloaded, Wait) and unloaded.phase is Phase.INCIDENT
    held = decide(facing(a_job(), ended, calls=1, incident_until=NOW + 5), NOW)
    assert held == Wait(NOW + 5, Phase.INCIDENT, "provider_incident")
    restored = an_attempt(AttemptState.COMPLETED, sender=RESTORED)
    assert decide(facing(a_job(), restored, calls=1), NOW) == AskPerson(restored)
    assert decide(facing(running, restored, calls=1, calls_open=1), NOW) == RunTools(restored)


def test_an_unknown_submission_does_not_expire() -> None:
    asked = a_job(status=Status.NEEDS_REVIEW, phase=Phase.SUBMISSION_UNKNOWN)
    unknown = an_attempt(AttemptState.UNKNOWN)
    assert decide(facing(asked, unknown), asked.useful_until + 1) == Wait(None)
    assert decide(facing(a_job(phase=Phase.PROVIDER), unknown), asked.useful_until) == AskPerson(unknown)


def test_a_found_run_is_adopted_at_any_time() -> None:
    asked = a_job(status=Status.NEEDS_REVIEW, phase=Phase.SUBMISSION_UNKNOWN)
    found = an_attempt(AttemptState.ACCEPTED)
    assert decide(facing(asked, found), asked.useful_until + 1) == Adopt(found)


def test_a_run_is_looked_at_when_its_look_is_due() -> None:
    run = an_attempt(AttemptState.ACCEPTED, look_at=NOW + 500)
    job = a_job(status=Status.RUNNING, phase=Phase.MODEL)
    assert decide(facing(job, run), NOW) == Wait(NOW + 500)
    assert decide(facing(job, run), NOW + 500) == Look(run)


def test_the_window_ends_a_job_and_stops_its_run_first() -> None:
    job = a_job(status=Status.RUNNING, phase=Phase.MODEL)
    run = an_attempt(AttemptState.ACCEPTED, look_at=NOW)
    assert decide(facing(job, run), job.useful_until) == BeginExpiry()
    assert decide(facing(), a_job().useful_until) == End("expired")
    assert decide(facing(a_job(status=Status.NEEDS_REVIEW, phase=Phase.OUTPUT)), a_job().useful_until) == End(
        "expired"
    )


def test_a_wait_never_passes_the_useful_window() -> None:
    run = an_attempt(AttemptState.ACCEPTED, look_at=NOW + 10 * 3_600_000)
    job = a_job(status=Status.RUNNING, phase=Phase.MODEL)
    assert decide(facing(job, run), NOW) == Wait(job.useful_until)


def test_a_cancel_asks_the_provider_and_gives_up_after_a_minute() -> None:
    job = a_job(phase=Phase.CANCELING, ends_as="canceled", cancel_asked_at=NOW)
    run = an_attempt(AttemptState.ACCEPTED)
    assert decide(facing(job, run), NOW) == CancelRun(run)
    assert decide(facing(job, an_attempt(AttemptState.UNKNOWN)), NOW + 1) == Wait(NOW + T.cancel_wait)
    assert decide(facing(job, run), NOW + T.cancel_wait) == End("canceled")
    assert decide(facing(replace(job, ends_as="expired"), None), NOW) == End("expired")


def test_an_ended_job_follows_its_run_for_the_cost() -> None:
    job = a_job(status=Status.CANCELED, phase=None, finished_at=NOW)
    run = an_attempt(AttemptState.ACCEPTED)
    assert decide(facing(job, run), NOW) == CancelRun(run)
    assert decide(facing(job, run), NOW + T.follow_at_most + 1) == Wait(None)
    assert decide(facing(job, an_attempt(AttemptState.UNKNOWN)), NOW) == Wait(None)
    done = an_attempt(AttemptState.COMPLETED)
    assert decide(facing(job, done, answer_kept=True), NOW) == Settle(done)


def test_a_second_purchase_that_is_found_is_canceled() -> None:
    stray = an_attempt(AttemptState.ACCEPTED, id="att_0")
    assert decide(facing(attempt=an_attempt(), strays=(stray,)), NOW) == CancelRun(stray)
    waiting = replace(stray, look_at=NOW + 100)
    held = a_job(status=Status.NEEDS_REVIEW, phase=Phase.OUTPUT)
    assert decide(facing(held, strays=(waiting,)), NOW) == Wait(NOW + 100)


def test_failed_runs_are_bought_again_as_often_as_the_type_allows() -> None:
    failed = an_attempt(AttemptState.FAILED)
    assert decide(facing(attempt=failed, accepted=3), NOW) == Plan(AttemptReason.PROVIDER_FAILED)
    assert decide(facing(attempt=failed, accepted=4), NOW) == Fail("attempts_used_up")
    assert decide(facing(attempt=failed, over_budget=True), NOW) == Fail("max_cost_reached")


def test_refused_and_unsent_creates_use_up_no_attempts() -> None:
    refused = an_attempt(AttemptState.REFUSED)
    assert decide(facing(attempt=refused, accepted=9), NOW) == Plan(AttemptReason.REFUSED)
    unsent = an_attempt(AttemptState.NOT_SENT)
    assert decide(facing(attempt=unsent, accepted=9), NOW) == Plan(AttemptReason.PROVEN_UNSENT)


def test_a_timer_an_incident_or_a_missing_type_holds_a_job_back() -> None:
    assert decide(facing(a_job(wait_until=NOW + 5)), NOW) == Wait(NOW + 5)
    assert decide(facing(incident_until=NOW + 7), NOW) == Wait(NOW + 7, Phase.INCIDENT, "provider_incident")
    missing = decide(facing(type_loaded=False), NOW)
    assert isinstance(missing, Wait)
    assert missing.phase is Phase.INCIDENT
    done = an_attempt(AttemptState.COMPLETED)
    assert isinstance(decide(facing(attempt=done, type_loaded=False, answer_kept=True), NOW), Wait)


def test_a_finished_run_is_settled_then_checked() -> None:
    done = an_attempt(AttemptState.COMPLETED)
    assert decide(facing(attempt=done), NOW) == Settle(done)
    checking = a_job(status=Status.RUNNING, phase=Phase.CHECK)
    assert decide(facing(checking, done), NOW) == Check(done)
    failed = an_attempt(AttemptState.FAILED)
    assert decide(facing(attempt=failed, answer_kept=True), NOW) == Settle(failed)
    stopped = an_attempt(AttemptState.CANCELED)
    assert decide(facing(attempt=stopped), NOW) == Fail("stopped_at_provider")


PLACES = [
    (Status.QUEUED, Phase.READY), (Status.QUEUED, Phase.PROVIDER), (Status.QUEUED, Phase.RETRY),
    (Status.QUEUED, Phase.INCIDENT), (Status.RUNNING, Phase.MODEL), (Status.RUNNING, Phase.CHECK),
    (Status.NEEDS_REVIEW, Phase.OUTPUT), (Status.NEEDS_REVIEW, Phase.SUBMISSION_UNKNOWN),
    (Status.QUEUED, Phase.CANCELING), (Status.RUNNING, Phase.CANCELING), (Status.COMPLETED, None),
    (Status.CANCELED, None), (Status.FAILED, None),
]  # fmt: skip


@given(
    place=st.sampled_from(PLACES),
    state=st.none() | st.sampled_from(AttemptState),
    past=st.integers(0, 2 * 3_600_000),
    flags=st.fixed_dictionaries(
        {
            name: st.booleans()
            for name in ("rebuy", "rebought", "over_budget", "type_loaded", "sender_gone", "answer_kept")
        }
    ),
)
def test_nothing_that_may_be_out_is_ever_sent(place, state, past, flags) -> None:
    status, phase = place
    ended = status in TERMINAL
    job = a_job(status=status, phase=phase, finished_at=NOW if ended else None, cancel_asked_at=NOW)
    attempt = None if state is None else an_attempt(state)
    step = decide(facing(job, attempt, **flags), NOW + past)
    if isinstance(step, Send):
        assert state is AttemptState.PLANNED
    if isinstance(step, Plan) and state in IN_DOUBT:
        by_person = step.reason is AttemptReason.PERSON and phase not in (
            Phase.PROVIDER,
            Phase.SUBMISSION_UNKNOWN,
        )
        by_choice = step.reason is AttemptReason.REBUY and flags["rebuy"] and not flags["rebought"]
        assert by_person or by_choice
    if ended:
        assert not isinstance(step, Plan | Send | Fail | End | BeginExpiry)
    if isinstance(step, Wait) and not ended and phase is not Phase.SUBMISSION_UNKNOWN:
        assert step.until is not None, "an open job must be looked at again"

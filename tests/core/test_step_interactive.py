"""What comes next for runs that a worker holds, and after a person has spoken: the rules about buying."""

from typing import Any

from backlane.core.job import STEERED, STREAM_LOST, AttemptReason, AttemptState, Phase, Status
from backlane.core.schedule import Timings
from backlane.core.situation import (
    AskPerson,
    CancelRun,
    End,
    Fail,
    Follow,
    Plan,
    Recover,
    Send,
    Settle,
    Situation,
    Steer,
    Wait,
)
from backlane.core.step import decide
from tests.values import NOW, a_job, an_attempt

TIMINGS = Timings()
HELD: dict[str, Any] = {"lane": "interactive", "live": True}
LATER = NOW + TIMINGS.unknown_wait


def facing(job: Any, attempt: Any = None, **changes: Any) -> Situation:
    return Situation(job=job, attempt=attempt, timings=TIMINGS, **changes)


def run(state: AttemptState = AttemptState.ACCEPTED, **changes: Any) -> Any:
    return an_attempt(state, lane="interactive", stream_state="open", **changes)


def at_work(**changes: Any) -> Any:
    return a_job(status=Status.RUNNING, phase=Phase.MODEL, **HELD, **changes)


def lost(**changes: Any) -> Any:
    known = {"provider_response_id": "resp_1", "code": STREAM_LOST, "looked_at": NOW, "look_at": None}
    return run(AttemptState.UNKNOWN, **{**known, **changes})


def test_a_run_is_read_where_its_stream_is_and_seen_after_anywhere_else() -> None:
    held = run(look_at=NOW + 500)
    assert decide(facing(at_work(), held, stream_held=True, stream_room=False), NOW) == Follow(held)
    assert decide(facing(at_work(), held, stream_room=True), NOW) == Wait(NOW + 500)
    assert decide(facing(at_work(), held, stream_room=True), NOW + 500) == Recover(held)


def test_a_lost_run_is_never_bought_again_while_nobody_knows_of_it() -> None:
    assert decide(facing(at_work(), lost()), LATER) == Recover(lost())
    queued = a_job(phase=Phase.PROVIDER, **HELD)
    assert decide(facing(queued, lost()), NOW + 1) == Wait(LATER)
    assert decide(facing(queued, lost(), rebuy=True), LATER) == Recover(lost())
    gone = lost(looked_at=LATER)
    assert decide(facing(queued, gone), LATER) == AskPerson(gone)
    assert decide(facing(queued, gone, rebuy=True), LATER) == Plan(AttemptReason.REBUY)
    assert decide(facing(queued, gone, rebuy=True, messages=1), LATER) == Plan(AttemptReason.REBUY)
    assert decide(facing(queued, gone, rebuy=True, rebought=True), LATER) == AskPerson(gone)
    assert decide(facing(queued, gone, messages=1), LATER) == AskPerson(gone)


def test_a_look_at_a_lost_run_that_taught_nothing_is_made_again_until_the_window_ends() -> None:
    queued = a_job(phase=Phase.PROVIDER, **HELD)
    unheard = lost(look_at=LATER + 500)
    assert decide(facing(queued, unheard), LATER) == Wait(LATER + 500)
    assert decide(facing(queued, unheard), queued.useful_until) == AskPerson(unheard)


def test_a_cancel_of_a_lost_run_awaits_nothing() -> None:
    job = a_job(phase=Phase.CANCELING, ends_as="canceled", cancel_asked_at=NOW, **HELD)
    assert decide(facing(job, lost()), NOW) == End("canceled")
    assert decide(facing(job, run(AttemptState.UNKNOWN)), NOW) == Wait(NOW + TIMINGS.cancel_wait)
    assert decide(facing(job, run(), messages=1), NOW) == CancelRun(run())


def test_a_person_s_words_stop_the_turn_and_buy_the_next_one() -> None:
    assert decide(facing(at_work(), run(), messages=1, stream_held=True), NOW) == Steer(run())
    planned = run(AttemptState.PLANNED)
    assert decide(facing(a_job(**HELD), planned), NOW) == Send(planned)
    assert decide(facing(a_job(**HELD), planned, messages=1), NOW) == Steer(planned)
    stopped = run(AttemptState.CANCELED, code=STEERED)
    assert decide(facing(at_work(), stopped), NOW) == Steer(stopped)
    assert decide(facing(a_job(**HELD), stopped), NOW) == Plan(AttemptReason.NEXT_TURN)
    assert decide(facing(a_job(**HELD), stopped, over_budget=True), NOW) == Fail("max_cost_reached")
    stranger = run(AttemptState.CANCELED)
    assert decide(facing(a_job(**HELD), stranger), NOW) == Fail("stopped_at_provider")


def test_a_create_in_flight_is_awaited_before_words_are_taken_up() -> None:
    sending = run(AttemptState.SENDING)
    assert isinstance(decide(facing(a_job(phase=Phase.PROVIDER, **HELD), sending, messages=1), NOW), Wait)


def test_an_answer_is_settled_before_words_that_came_with_it_go_on_from_it() -> None:
    done = run(AttemptState.COMPLETED)
    kept = {"answer_kept": True, "messages": 1}
    assert decide(facing(at_work(), done, **kept), NOW) == Settle(done)
    assert decide(facing(a_job(phase=Phase.PROVIDER, **HELD), done, **kept), NOW) == Settle(done)
    assert decide(facing(a_job(**HELD), done, **kept), NOW) == Plan(AttemptReason.NEXT_TURN)


def test_an_overtaken_answer_that_meets_a_held_lane_is_not_settled_again() -> None:
    done = run(AttemptState.COMPLETED)
    waits = a_job(phase=Phase.INCIDENT, **HELD)
    known: dict[str, Any] = {"answer_kept": True, "messages": 1, "overtaken": True}
    held = facing(waits, done, incident_until=NOW + 500, **known)
    assert decide(held, NOW) == Wait(NOW + 500, Phase.INCIDENT, "provider_incident")
    assert decide(held, NOW + 500) == Plan(AttemptReason.NEXT_TURN)
    # One that was put off while its type was not loaded has not been read yet.
    unread = facing(waits, done, answer_kept=True, messages=1)
    assert decide(unread, NOW) == Settle(done)

"""What to do next with an action, whatever its job is at: nothing twice, nothing ended in doubt."""

from dataclasses import replace
from typing import Any

import pytest

from backlane.core import situation as steps
from backlane.core.action import (
    Action,
    ActionState,
    Origin,
    anything_sent,
    carried,
    current,
    effect_in_doubt,
    ends_as,
    quiet_from,
)
from backlane.core.job import AttemptState, Phase, Status
from backlane.core.schedule import Timings
from backlane.core.situation import Situation, Wait
from backlane.core.step import decide
from tests.values import HOUR, NOW, a_job, an_attempt

TIMINGS = Timings()


def an_action(state: ActionState = ActionState.PROPOSED, **changes: Any) -> Action:
    values: dict[str, Any] = {
        "id": "act_1", "workspace": "ws_1", "job_id": "job_1", "attempt_id": "att_1", "call_row": "call_1",
        "number": 1, "type": "pay", "origin": Origin.MODEL, "target": "bank", "arguments": "{}", "content": None,
        "state": state, "key": "bk_1", "payload_hash": "sha256:1", "policy_version": "1", "expires_at": NOW + HOUR,
        "review_id": None, "undo": 0, "timeout": 1_000, "proposed_at": NOW, "dispatched_at": NOW,
    }  # fmt: skip
    return Action(**{**values, **changes})


def at(*actions: Action, **changes: Any) -> Situation:
    """A job whose run waits for these actions."""
    job = a_job(
        **{"status": Status.RUNNING, "phase": changes.pop("phase", Phase.ACTION), **changes.pop("job", {})}
    )
    attempt = an_attempt(changes.pop("attempt", AttemptState.COMPLETED))
    return Situation(job, attempt, TIMINGS, actions=actions, **{"calls": 1, **changes})


S = ActionState
LET_GO = an_action(S.DISPATCHING, origin=Origin.MCP)
CASES: list[tuple[str, Situation, int, type]] = [
    ("a proposal is asked about", at(an_action()), NOW, steps.AskAction),
    ("plain tools come first", at(an_action(), calls_open=1), NOW, steps.RunTools),
    ("an approval leads to its dispatch", at(an_action(S.APPROVED)), NOW, steps.Dispatch),
    ("not before its undo delay is over", at(an_action(S.APPROVED, dispatch_after=NOW + 5)), NOW, Wait),
    ("the kill switch holds it", at(an_action(S.APPROVED), actions_stopped=True), NOW, Wait),
    ("a call under way is waited for", at(an_action(S.DISPATCHING)), NOW, Wait),
    ("a lost sender is noticed", at(an_action(S.DISPATCHING), effect_sender_gone=True), NOW, steps.LoseEffect),
    ("its time is over", at(an_action(S.DISPATCHING)), NOW + 2_000, steps.LoseEffect),
    ("unknown is looked up", at(an_action(S.UNKNOWN), can_look_up=True), NOW, steps.LookUp),
    ("or waits for its time", at(an_action(S.UNKNOWN, look_at=NOW + 9), can_look_up=True), NOW, Wait),
    ("without a lookup a person is asked", at(an_action(S.UNKNOWN)), NOW, steps.AskEffect),
    (
        "a call that lives on and on ends with a person",
        at(an_action(S.UNKNOWN, looks=20), can_look_up=True),
        NOW,
        steps.AskEffect,
    ),
    (
        "broken lookups end with a person",
        at(an_action(S.UNKNOWN, looks_broken=5), can_look_up=True),
        NOW,
        steps.AskEffect,
    ),
    (
        "lookups that kill workers too",
        at(an_action(S.UNKNOWN), can_look_up=True, job={"leases_lost": 3}),
        NOW,
        steps.AskEffect,
    ),
    ("a type that is not loaded is waited for", at(an_action(S.UNKNOWN), type_loaded=False), NOW, Wait),
    ("who was asked is waited for", at(an_action(S.UNKNOWN), phase=Phase.EFFECT_UNKNOWN), NOW, Wait),
    ("until it is known", at(an_action(S.SUCCEEDED), phase=Phase.EFFECT_UNKNOWN), NOW, steps.GoOn),
    ("what failed ends the job", at(an_action(S.FAILED, code="c")), NOW, steps.Fail),
    ("so does what was undone", at(an_action(S.UNDONE)), NOW, steps.Fail),
    ("and what was rejected", at(an_action(S.REJECTED)), NOW, steps.Fail),
    ("after the last one the model is told", at(an_action(S.SUCCEEDED)), NOW, steps.RunTools),
    ("or the job ends with it", at(an_action(S.SUCCEEDED), finishes=True), NOW, steps.Finish),
    ("over budget no turn follows", at(an_action(S.SUCCEEDED), over_budget=True), NOW, steps.Fail),
    ("a result is asked for proposals", at(calls=0, proposes=True), NOW, steps.Propose),
    ("without any more it ends", at(calls=0), NOW, steps.Finish),
    ("a window that ended ends an approval", at(an_action(S.APPROVED)), NOW + HOUR, steps.End),
    ("but nothing under way", at(an_action(S.DISPATCHING, dispatched_at=NOW + HOUR)), NOW + HOUR, Wait),
    ("nor in doubt", at(an_action(S.UNKNOWN), phase=Phase.EFFECT_UNKNOWN), NOW + 2 * HOUR, Wait),
    ("nor what only has to be released", at(an_action(S.SUCCEEDED), calls=0), NOW + HOUR, steps.Finish),
    ("it expires before another turn", at(an_action(S.SUCCEEDED)), NOW + HOUR, steps.End),
    (
        "a remote call that a planned run carries ends with its window",
        at(LET_GO, attempt=AttemptState.PLANNED, job={"status": Status.QUEUED}, phase=Phase.READY),
        NOW + HOUR,
        steps.End,
    ),
    (
        "one that a run took along does not",
        at(LET_GO, attempt=AttemptState.ACCEPTED, job={"status": Status.QUEUED}, phase=Phase.MODEL),
        NOW + HOUR,
        steps.Look,
    ),
    (
        "the kill switch holds the run that is to carry it",
        at(LET_GO, attempt=AttemptState.PLANNED, phase=Phase.READY, actions_stopped=True),
        NOW,
        Wait,
    ),
    (
        "a call that was taken back with its run is asked about",
        at(an_action(origin=Origin.MCP), attempt=AttemptState.NOT_SENT, calls=0),
        NOW,
        steps.AskAction,
    ),
    (
        "approved anew, it has a run bought for it",
        at(LET_GO, attempt=AttemptState.NOT_SENT, calls=0),
        NOW,
        steps.RunTools,
    ),
    (
        "a failed run that carried approvals is not bought again",
        at(an_action(S.SUCCEEDED, origin=Origin.MCP), attempt=AttemptState.FAILED, spent=True),
        NOW,
        steps.Fail,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("says", "situation", "now", "step"), CASES, ids=[case[0] for case in CASES])
def test_the_next_step(says: str, situation: Situation, now: int, step: type) -> None:
    assert type(decide(situation, now)) is step, says


def test_actions_are_taken_in_their_order_and_remote_ones_travel_together() -> None:
    first, second = an_action(S.SUCCEEDED), an_action(id="act_2", number=2)
    assert current([first, second]) is second
    remote = an_action(S.DISPATCHING, origin=Origin.MCP)
    assert current([remote, second]) is second
    assert (carried([remote, second]), effect_in_doubt([remote])) == ([remote], True)
    assert anything_sent([second]) is False and anything_sent([replace(second, receipt="{}")]) is True
    assert [ends_as([an_action(state)]) for state in (S.FAILED, S.UNDONE, S.REJECTED, S.SUCCEEDED)] == [
        "action_failed", "undone", "rejected", None,
    ]  # fmt: skip


def test_silence_proves_something_only_after_the_time_out_and_as_long_again() -> None:
    action = an_action(S.UNKNOWN, dispatched_at=NOW, timeout=1_000)
    assert quiet_from(action, 1_000) == NOW + 3_000

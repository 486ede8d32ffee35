"""What to do next with a job's actions. Pure, like `step`, which asks here first."""

from backlane.core.action import (
    LOOKS_AT_MOST,
    LOOKUPS_AT_MOST,
    Action,
    ActionState,
    carried,
    current,
    effect_in_doubt,
    ends_as,
)
from backlane.core.job import AttemptState, Phase
from backlane.core.situation import (
    AskAction,
    AskEffect,
    Dispatch,
    Fail,
    GoOn,
    LookUp,
    LoseEffect,
    Situation,
    Step,
    Wait,
)

# An action that stopped its worker this often is not looked up any more: a person is asked.
_LOST_AT_MOST = 3
# No run of these took anything along.
_TOOK_NOTHING = frozenset({AttemptState.PLANNED, AttemptState.REFUSED, AttemptState.NOT_SENT})


def decide_effect(situation: Situation, now: int) -> Step | None:
    """The step for an action that may have changed the outside, whatever its job is at; None without one."""
    action = current(situation.actions)
    if situation.job.phase is Phase.EFFECT_UNKNOWN and not effect_in_doubt(situation.actions):
        return GoOn()
    if action is None:
        return None
    if action.state is ActionState.DISPATCHING:
        until = (action.dispatched_at or now) + action.timeout + situation.timings.effect_slack
        return LoseEffect(action) if situation.effect_sender_gone or now >= until else Wait(until)
    if action.state is ActionState.UNKNOWN:
        return _unknown(situation, action, now)
    return None


def _unknown(situation: Situation, action: Action, now: int) -> Step:
    if situation.job.phase is Phase.EFFECT_UNKNOWN:
        return Wait(None)
    if not situation.type_loaded:
        return Wait(now + situation.timings.unloaded_probe)
    looked = action.looks_broken >= LOOKUPS_AT_MOST or action.looks >= LOOKS_AT_MOST
    hopeless = looked or situation.job.leases_lost >= _LOST_AT_MOST
    if not situation.can_look_up or hopeless:
        return AskEffect(action)
    at = action.look_at or now
    return LookUp(action) if now >= at else Wait(at)


def decide_action(situation: Situation, now: int) -> Step | None:
    """The step for a run's actions, once its tools are answered; None when there is nothing left to do."""
    code = ends_as(situation.actions)
    if code is not None:
        return Fail(code)
    action = current(situation.actions)
    if action is None:
        return None
    if action.state is ActionState.PROPOSED:
        return AskAction(action)
    if situation.actions_stopped:
        return Wait(now + situation.timings.unloaded_probe)
    at = action.dispatch_after or now
    return Dispatch(action) if now >= at else Wait(at)


def decide_carried(situation: Situation, now: int) -> Step | None:
    """The step for remote calls that wait for the run that takes them along; None if it may be bought and sent."""
    if current(situation.actions) is not None:
        return decide_action(situation, now)
    if situation.actions_stopped and carried(situation.actions):
        return Wait(now + situation.timings.unloaded_probe)
    return None


def out_with_a_run(situation: Situation) -> bool:
    """Whether a remote call that was let go may have left with a run: until then its job may still end."""
    attempt, waiting = situation.attempt, carried(situation.actions)
    if attempt is None or attempt.state in _TOOK_NOTHING:
        return False
    untaken = attempt.state is AttemptState.COMPLETED and all(one.attempt_id == attempt.id for one in waiting)
    return bool(waiting) and not untaken

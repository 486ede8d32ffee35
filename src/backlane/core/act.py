"""What to do next with a job's actions. Pure, like `step`, which asks here first."""

from backlane.core.action import (
    LOOKS_AT_MOST,
    LOOKUPS_AT_MOST,
    Action,
    ActionState,
    current,
    effect_in_doubt,
    ends_as,
)
from backlane.core.job import Phase
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

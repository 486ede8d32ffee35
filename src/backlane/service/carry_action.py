"""The steps of a job's actions, each carried out where it belongs."""

from typing import assert_never

from backlane.core.situation import (
    ActStep,
    AskAction,
    AskEffect,
    Dispatch,
    Finish,
    GoOn,
    LookUp,
    LoseEffect,
    Propose,
)
from backlane.service.act import dispatch, lose_effect
from backlane.service.ask import ask_action, ask_effect, go_on
from backlane.service.finish_acting import finish_acting, propose_from_result
from backlane.service.look_up import look_up
from backlane.service.ports import Ports
from backlane.service.situate import Held


async def carry_action(ports: Ports, held: Held, step: ActStep) -> Held | None:
    """Carry out one step; the job as it is then, or None if this worker holds it no longer."""
    match step:
        case Propose(attempt):
            return await propose_from_result(ports, held, attempt)
        case AskAction(action):
            return await ask_action(ports, held, action)
        case Dispatch(action):
            return await dispatch(ports, held, action)
        case LoseEffect(action):
            return await lose_effect(ports, held, action)
        case LookUp(action):
            return await look_up(ports, held, action)
        case AskEffect(action):
            return await ask_effect(ports, held, action)
        case GoOn():
            return await go_on(ports, held)
        case Finish(attempt):
            return await finish_acting(ports, held, attempt)
        case _:
            assert_never(step)

"""Finding out what became of an action: the type's lookup, then a person. It only reads; nothing is carried out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from backlane.core.action import Action, ActionState, quiet_from
from backlane.core.event import Event
from backlane.core.job import RESTORED, Job
from backlane.core.schedule import retry_delay
from backlane.core.storage import Transaction
from backlane.service.act import follow_effect
from backlane.service.conclude import conclude
from backlane.service.keep_effect import did_not_happen, succeeded
from backlane.service.lease import renewed
from backlane.service.ports import Ports
from backlane.service.situate import Held


async def look_up(ports: Ports, held: Held, action: Action) -> Held | None:
    """Ask whether the key took effect. "No" proves it only after the quiet period; a broken lookup proves nothing.

    While the call itself may still act in this process, "no" proves nothing either.
    """
    assert held.type is not None
    declared = held.type.action(action.type)
    assert declared is not None
    asked_at = ports.clock.now()
    # Asked before the lookup: what lives now may act after the outside has answered.
    may_act = ports.calls.may_act(action, asked_at, ports.timings.effect_slack)
    broken: str | None = None
    found = None
    async with renewed(ports, held):
        try:
            async with asyncio.timeout(action.timeout / 1000):
                found = await declared.look_up(action.key)
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            broken = type(error).__name__
            ports.log(f"job {action.job_id}: the lookup of action {action.type} broke: {broken}")
    ports.point("looked_up")

    def fact(tx: Transaction) -> Sequence[Event]:
        if broken is not None:
            return ()
        if found is not None:
            return succeeded(tx, ports, action, found, by="lookup")
        if asked_at >= quiet_from(action, ports.timings.effect_slack) and not may_act:
            if action.code == RESTORED:
                return _propose_again(tx, action, asked_at)
            return did_not_happen(tx, ports, action, "action_did_not_happen", by="lookup")
        return ()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        row = tx.action(action.id)
        if row is not None and row.state is ActionState.UNKNOWN:
            _again(tx, ports, row, broken=broken is not None, may_act=may_act)
            return replace(job, due_at=ports.clock.now()), ()
        return follow_effect(tx, ports, job, action)

    return await conclude(ports, held, turn, fact=fact, hold=True)


def _propose_again(tx: Transaction, action: Action, now: int) -> list[Event]:
    """It did not happen after the backup either: it was never dispatched, and waits for its approval."""
    cleared = dict.fromkeys(
        ("dispatched_at", "unknown_at", "look_at", "review_id", "approved_at", "approved_by")
    )
    tx.move_action(action.id, [ActionState.UNKNOWN], state=ActionState.PROPOSED, **cleared)
    data = {"action": action.id, "number": action.number, "origin": str(action.origin), "code": RESTORED}
    return [Event("action.proposed", now, "backlane", data)]


def _again(tx: Transaction, ports: Ports, action: Action, *, broken: bool, may_act: bool) -> None:
    """When it is looked up again."""
    now = ports.clock.now()
    tries = action.looks_broken + 1 if broken else 0
    if broken:
        at = now + retry_delay(action.looks_broken, ports.timings, None, ports.chance())
    else:
        soonest = now + action.timeout + ports.timings.effect_slack if may_act else now
        at = max(soonest, quiet_from(action, ports.timings.effect_slack))
    kept = {"looks": action.looks + 1, "looks_broken": tries, "look_at": at}
    tx.move_action(action.id, [ActionState.UNKNOWN], **kept)

"""Asking about actions: for approval of exactly these bytes, and what became of one that nobody knows of."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.action import Action, ActionState, Origin, TypeAction
from backlane.core.event import Event
from backlane.core.job import Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.fail import failed
from backlane.service.ports import Ports
from backlane.service.propose import content_of
from backlane.service.release import (
    POLICY_VERSION,
    asked_of,
    close_open_review,
    open_effect_review,
    open_review,
    respond_until,
)
from backlane.service.seal import seal_action
from backlane.service.situate import Held


async def ask_action(ports: Ports, held: Held, action: Action) -> Held | None:
    """Open the review of an action: its payload is sealed now, and nothing else can be approved by it."""
    assert held.type is not None
    content = None
    if action.origin is not Origin.MCP:
        declared = held.type.action(action.type)
        if declared is None or not reads(declared, action.arguments):
            return await failed(ports, held, "type_changed")
        try:
            content = await content_of(ports, declared, action.arguments)
        except ValueError:
            return await failed(ports, held, "action_unreadable")
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        fresh = replace(action, content=content, policy_version=POLICY_VERSION, expires_at=job.useful_until)
        sealed = seal_action(fresh)
        until = respond_until(held.type, job, now)
        asked = asked_of(held)
        after, told = open_review(
            tx, ports, job, now, phase=Phase.ACTION, asked=asked, sealed=sealed, respond_by=until
        )
        review = tx.open_review(job.id)
        assert review is not None
        bound = {"content": content, "policy_version": POLICY_VERSION, "expires_at": job.useful_until}
        kept = {"payload_hash": sealed.hash, "review_id": review["id"], **bound}
        tx.move_action(action.id, [ActionState.PROPOSED], **kept)
        return after, told

    return await conclude(ports, held, turn)


def reads(declared: TypeAction, arguments: str) -> bool:
    """Whether the action, as it is declared now, still takes exactly these arguments."""
    try:
        return declared.read(arguments) == arguments
    except ValueError:
        return False


async def ask_effect(ports: Ports, held: Held, action: Action) -> Held | None:
    """Ask an operator what became of an action; only `resolve` closes this, or its own late receipt."""
    now = ports.clock.now()
    return await conclude(ports, held, lambda tx, job: open_effect_review(tx, ports, action, job, now))


async def go_on(ports: Ports, held: Held) -> Held | None:
    """What was asked about an action became known: the question is closed, the job goes on."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        job, told = close_open_review(tx, job, now, "expired")
        after, event = lifecycle.apply(job, Command.ACT, now, phase=Phase.ACTION, actor="backlane")
        return replace(after, due_at=now), [event, *told]

    return await conclude(ports, held, turn, hold=True)

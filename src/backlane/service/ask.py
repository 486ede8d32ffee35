"""Asking about actions: for approval of exactly these bytes, and what became of one that nobody knows of."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace

from backlane.core import lifecycle
from backlane.core.action import Action, ActionState, Origin, TypeAction
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.policy import NO_POLICY, Answer
from backlane.core.storage import Transaction
from backlane.errors import InvalidRequest
from backlane.service.approve_action import approve_by_policy, refuse_by_policy
from backlane.service.conclude import conclude
from backlane.service.fail import failed
from backlane.service.judge import judge_action, keep_verdict, may_allow
from backlane.service.ports import Ports
from backlane.service.propose import content_of
from backlane.service.release import (
    asked_more,
    asked_of,
    close_open_review,
    open_effect_review,
    open_review,
    respond_until,
)
from backlane.service.seal import seal_action
from backlane.service.settle_remote import remote_content
from backlane.service.situate import Held
from backlane.service.tighten import tighten


async def ask_action(ports: Ports, held: Held, action: Action) -> Held | None:
    """Ask the policies, then a person where they leave it to one: the payload is sealed now, and nothing else
    can be approved by it.
    """
    assert held.type is not None
    declared = held.type.action(action.type) if action.origin is not Origin.MCP else None
    if action.origin is not Origin.MCP and (declared is None or not reads(declared, action.arguments)):
        return await failed(ports, held, "type_changed")
    try:
        content = await content_now(ports, held, action)
    except ValueError:
        return await failed(ports, held, "action_unreadable")
    said = await judge_action(ports, held.type, held.job, action)
    version = NO_POLICY if said is None else said.version
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        fresh = replace(action, content=content, policy_version=version, expires_at=job.useful_until)
        sealed = seal_action(fresh)
        if said is not None:
            keep_verdict(tx, ports, job, said, sealed.hash, action=action.id)
            if said.answer is Answer.REFUSE:
                return refuse_by_policy(tx, ports, job, fresh, said)
            if said.answer is Answer.ALLOW and may_allow(job):
                return approve_by_policy(tx, ports, job, fresh, said)
        # Work that a person has to look at is closed until they have, though its job was not drawn.
        job = tighten(tx, job, Gate.OUTPUT) if job.gate is Gate.NONE else job
        until = respond_until(held.type, job, now)
        asked = asked_more(asked_of(held), asdict(said) if said is not None else None)
        after, told = open_review(
            tx, ports, job, now, phase=Phase.ACTION, asked=asked, sealed=sealed, respond_by=until
        )
        review = tx.open_review(job.id)
        assert review is not None
        bound = {"content": content, "policy_version": version, "expires_at": job.useful_until}
        kept = {"payload_hash": sealed.hash, "review_id": review["id"], **bound}
        tx.move_action(action.id, [ActionState.PROPOSED], **kept)
        return after, told

    asked = await conclude(ports, held, turn)
    ports.point("action_asked")
    return asked


async def content_now(ports: Ports, held: Held, action: Action) -> str | None:
    """A digest of what the action points at now: its content, or where the remote server is. Raises ValueError."""
    assert held.type is not None
    if action.origin is Origin.MCP:
        raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
        try:
            inputs = held.type.read_inputs(json.loads(raw))
        except InvalidRequest as error:
            raise ValueError("the job's inputs do not fit its type any more") from error
        return remote_content(held.type, inputs, action.target)
    declared = held.type.action(action.type)
    assert declared is not None
    return await content_of(ports, declared, action.arguments)


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

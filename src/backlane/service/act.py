"""Carrying out an approved action, once: `dispatching` is committed with every condition checked, then the call.

Nothing here calls twice. What the call says is kept, whoever holds the job by then.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from backlane.core.action import Action, ActionState, Origin, TypeAction
from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.lifecycle import TERMINAL
from backlane.core.storage import Transaction
from backlane.errors import ActionFailed
from backlane.service.approve_action import as_acting
from backlane.service.ask import content_now, reads
from backlane.service.conclude import conclude
from backlane.service.fail import fail, failed
from backlane.service.keep_effect import did_not_happen, succeeded, unknown
from backlane.service.lease import renewed
from backlane.service.ports import Ports
from backlane.service.settle_remote import let_go
from backlane.service.situate import Held
from backlane.service.stand import stopped, why_void

# How long a coroutine that was told to stop may take to do so, seconds.
_TO_STOP = 1.0


@dataclass(frozen=True, slots=True)
class Said:
    """What the call itself said: succeeded, failed (it surely did not happen) or unknown."""

    outcome: ActionState
    receipt: Any = None
    code: str | None = None
    words: str | None = None


async def dispatch(ports: Ports, held: Held, action: Action) -> Held | None:
    """Commit `dispatching`, call once with the action's key, keep what it says."""
    assert held.type is not None
    declared = held.type.action(action.type) if action.origin is not Origin.MCP else None
    if action.origin is not Origin.MCP and (declared is None or not reads(declared, action.arguments)):
        return await failed(ports, held, "type_changed")
    try:
        content = await content_now(ports, held, action)
    except ValueError:
        content = "unreadable"
    sending, committed_at = await _commit(ports, held, action, content)
    if sending is None or committed_at is None or declared is None:
        return sending
    ports.point("dispatching")
    async with renewed(ports, sending):
        said = await _call(ports, declared, action, committed_at)
    ports.point("dispatched")
    if isinstance(said, asyncio.Task):
        return await _outlived(ports, sending, action, said)
    result = await keep_said(ports, sending, action, said)
    ports.point("action_done")
    return result


async def _commit(
    ports: Ports, held: Held, action: Action, content: str | None
) -> tuple[Held | None, int | None]:
    """The held job and when `dispatching` was committed, if it was; every condition is checked in that transaction."""
    committed: int | None = None

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        nonlocal committed
        committed = None
        now = ports.clock.now()
        row = tx.action(action.id)
        if row is None or row.state is not ActionState.APPROVED or row.arguments != action.arguments:
            return replace(job, due_at=now), ()
        if stopped(tx, job.workspace):
            return replace(job, due_at=now + ports.timings.unloaded_probe), ()
        why = why_void(tx, ports, job, row, content)
        if why is not None:
            return _void(tx, job, row, why, now)
        told = as_acting(job, now)
        job = told[0]
        _write(tx, ports, row, now)
        if row.origin is Origin.MCP:
            let_go(tx, row, now)
        committed = now
        data = {"action": row.id, "number": row.number, "payload_hash": row.payload_hash}
        return job, [*told[1], Event("action.dispatched", now, "backlane", data)]

    sending = await conclude(ports, held, turn, hold=True)
    return sending, committed


def _write(tx: Transaction, ports: Ports, action: Action, now: int) -> None:
    sender = ports.worker.boot_id
    tx.insert_dispatch(
        {
            "action_id": action.id,
            "workspace": action.workspace,
            "job_id": action.job_id,
            "review_id": action.review_id,
            "key": action.key,
            "payload_hash": action.payload_hash,
            "arguments": action.arguments,
            "sender": sender,
            "timeout": action.timeout,
            "at": now,
        }
    )
    changes = {"state": ActionState.DISPATCHING, "dispatched_at": now, "sender": sender}
    tx.move_action(action.id, [ActionState.APPROVED], **changes)


def _void(tx: Transaction, job: Job, action: Action, why: str, now: int) -> tuple[Job, Sequence[Event]]:
    """The approval does not stand any more: the action is asked about anew, as it is now."""
    cleared = {"approved_at": None, "approved_by": None, "dispatch_after": None, "review_id": None}
    tx.move_action(action.id, [ActionState.APPROVED], state=ActionState.PROPOSED, code=why, **cleared)
    data = {"action": action.id, "number": action.number, "origin": str(action.origin), "code": why}
    job, told = as_acting(job, now)
    return replace(job, due_at=now), [*told, Event("action.proposed", now, "backlane", data)]


async def _call(
    ports: Ports, declared: TypeAction, action: Action, committed_at: int
) -> "Said | asyncio.Task[Said]":
    """Call it. What the call says; the call itself, if it lives on when its time is over.

    Its time runs from the commit: a worker that stood still since then calls no more, or an effect could
    come after a lookup was believed that found none.
    """
    stood = max(0, ports.clock.now() - committed_at)
    if stood >= action.timeout:
        return Said(ActionState.UNKNOWN, code="worker_late")
    call = asyncio.create_task(_words(ports, declared, action))
    try:
        await asyncio.wait([call], timeout=(action.timeout - stood) / 1000)
        if not call.done() and declared.can_be_stopped:
            call.cancel()
            await asyncio.wait([call], timeout=_TO_STOP)
    except asyncio.CancelledError:
        call.cancel()
        raise
    if call.done():
        return _ended(ports, action, call)
    ports.log(f"job {action.job_id}: action {action.type} goes on though its time is over")
    return call


async def _words(ports: Ports, declared: TypeAction, action: Action) -> Said:
    """Only a receipt is success, only ActionFailed is failure; anything else is not known."""
    try:
        return Said(ActionState.SUCCEEDED, receipt=await declared.run(action.arguments, action.key))
    except MemoryError:
        raise  # the worker's trouble; the action is found dispatching, and looked up
    except ActionFailed as failure:
        return Said(ActionState.FAILED, code="action_failed", words=str(failure)[:2000])
    except asyncio.CancelledError:
        here = asyncio.current_task()
        if here is not None and here.cancelling() > 0:
            raise
        return _silent(ports, action, "CancelledError")
    except (Exception, SystemExit) as error:
        return _silent(ports, action, type(error).__name__)


def _silent(ports: Ports, action: Action, name: str) -> Said:
    ports.log(f"job {action.job_id}: action {action.type} did not say whether it happened: {name}")
    return Said(ActionState.UNKNOWN, code=name[:100])


def _ended(ports: Ports, action: Action, call: "asyncio.Task[Said]") -> Said:
    """What a call that is over said; one that was stopped said nothing."""
    return _silent(ports, action, "timeout") if call.cancelled() else call.result()


async def _outlived(ports: Ports, held: Held, action: Action, call: "asyncio.Task[Said]") -> Held | None:
    """Its time is over and it lives on: not known for now, and what it says late is kept when it comes."""
    ports.calls.wait_for(action, _late_word(ports, held, action, call))
    return await lose_effect(ports, held, action, "timeout")


async def _late_word(ports: Ports, held: Held, action: Action, call: "asyncio.Task[Said]") -> int | None:
    """Keep what a call says after its time; when it ended, if it said nothing."""
    try:
        await asyncio.wait([call])
    except asyncio.CancelledError:
        call.cancel()
        raise
    try:
        said = _ended(ports, action, call)
    except MemoryError:
        said = _silent(ports, action, "MemoryError")
    over = ports.clock.now()
    await keep_said(ports, held, action, said, hold=False)
    return over if said.outcome is ActionState.UNKNOWN else None


async def keep_said(
    ports: Ports, held: Held, action: Action, said: Said, *, hold: bool = True
) -> Held | None:
    """Keep what the call said, on the ledger, whoever holds the job by then; then let the job follow."""

    def fact(tx: Transaction) -> Sequence[Event]:
        now = ports.clock.now()
        kept = tx.answer_dispatch(action.id, outcome=said.outcome, code=said.code, said=said.words, now=now)
        if not kept:
            return ()
        if said.outcome is ActionState.SUCCEEDED:
            return succeeded(tx, ports, action, said.receipt, by="receipt")
        if said.outcome is ActionState.FAILED:
            return did_not_happen(tx, ports, action, said.code or "action_failed", by="receipt")
        return unknown(tx, ports, action, said.code or "unknown")

    return await conclude(
        ports, held, lambda tx, job: follow_effect(tx, ports, job, action), fact=fact, hold=hold
    )


def follow_effect(tx: Transaction, ports: Ports, job: Job, action: Action) -> tuple[Job, Sequence[Event]]:
    """A failed action ends the job; otherwise its next step is decided anew."""
    now = ports.clock.now()
    row = tx.action(action.id)
    if row is not None and row.state is ActionState.FAILED and job.status not in TERMINAL:
        after, event = fail(job, now, row.code or "action_failed")
        return after, [event]
    return replace(job, due_at=now), ()


async def lose_effect(ports: Ports, held: Held, action: Action, code: str = "worker_lost") -> Held | None:
    """Whoever carried it out is gone, or its time is over: nobody knows what became of it."""

    def fact(tx: Transaction) -> Sequence[Event]:
        return unknown(tx, ports, action, code)

    now = ports.clock.now()
    return await conclude(ports, held, lambda _, job: (replace(job, due_at=now), ()), fact=fact, hold=True)

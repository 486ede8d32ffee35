"""One job, one worker: load, decide, do one thing, save; until it has to wait."""

from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from backlane.core import lifecycle
from backlane.core.action import effect_in_doubt
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase, Status
from backlane.core.lifecycle import TERMINAL, Command
from backlane.core.situation import (
    Adopt,
    AskAction,
    AskEffect,
    AskPerson,
    BeginExpiry,
    CancelRun,
    Check,
    Dispatch,
    End,
    Fail,
    Finish,
    Follow,
    GoOn,
    HandOn,
    Look,
    LookUp,
    LoseEffect,
    MarkUnknown,
    Plan,
    Propose,
    Recover,
    RunTools,
    Send,
    Settle,
    Steer,
    Step,
    Wait,
)
from backlane.core.step import decide
from backlane.core.storage import Transaction
from backlane.service.alert import type_missing
from backlane.service.carry_action import carry_action
from backlane.service.check import run_checks
from backlane.service.conclude import conclude
from backlane.service.fail import drop_planned, failed
from backlane.service.forget import forget_runs
from backlane.service.hand_on import hand_on
from backlane.service.incident import spread, still_held
from backlane.service.observe import cancel_run, look
from backlane.service.ports import Ports
from backlane.service.purchase import mark_unknown, plan, send
from backlane.service.recover import recover
from backlane.service.release import close_open_review, open_unknown_review
from backlane.service.restore import doubt
from backlane.service.settle import end, settle_kept, with_response
from backlane.service.situate import Held
from backlane.service.steer import steer
from backlane.service.stream import follow_live
from backlane.service.use_tools import run_tools

QUARANTINE_AFTER = 3


async def advance(ports: Ports, held: Held) -> None:
    """Carry one held job on until it has to wait, ends, or belongs to someone else."""
    carried: Held | None = held
    while carried is not None:
        if _is_poison(carried):
            await _quarantine(ports, carried)
            return
        step = decide(carried.situation, ports.clock.now())
        if isinstance(step, Wait):
            await _wait(ports, carried, step)
            if carried.job.finished_at is not None:
                # A legal hold may have kept its runs until now.
                await forget_runs(ports, carried.job.id)
            return
        before, carried = carried, await _carry_out(ports, carried, step)
        if isinstance(step, Fail | End | RunTools) and carried is None:
            await forget_runs(ports, before.job.id)


async def _carry_out(ports: Ports, held: Held, step: Step) -> Held | None:
    match step:
        case Propose() | AskAction() | Dispatch() | LoseEffect() | LookUp() | AskEffect() | GoOn() | Finish():
            return await carry_action(ports, held, step)
        case Plan(reason):
            return await plan(ports, held, reason)
        case Send(attempt):
            return await send(ports, held, attempt)
        case MarkUnknown(attempt):
            return await mark_unknown(ports, held, attempt, "worker_lost")
        case Look(attempt):
            return await look(ports, held, attempt)
        case Follow(attempt):
            return await follow_live(ports, held, attempt)
        case Recover(attempt):
            return await recover(ports, held, attempt)
        case Steer(attempt):
            return await steer(ports, held, attempt)
        case CancelRun(attempt):
            return await cancel_run(ports, held, attempt)
        case Settle(attempt):
            return await settle_kept(ports, held, attempt)
        case Check():
            return await run_checks(ports, held)
        case RunTools(attempt):
            return await run_tools(ports, held, attempt)
        case Adopt(attempt):
            return await _adopt(ports, held, attempt)
        case AskPerson(attempt):
            return await _ask_person(ports, held, attempt)
        case HandOn():
            return await hand_on(ports, held)
        case Fail(code):
            return await failed(ports, held, code)
        case BeginExpiry():
            return await _begin_expiry(ports, held)
        case End(ends_as):
            return await _end(ports, held, ends_as)
        case Wait():
            return None
        case _:
            assert_never(step)


def _is_poison(held: Held) -> bool:
    """A job that stopped its worker three times in a row; never while a create or an action may be out."""
    lost = held.job.leases_lost >= QUARANTINE_AFTER and held.job.status not in TERMINAL
    doubtful = held.attempt is not None and held.attempt.state in (AttemptState.SENDING, AttemptState.UNKNOWN)
    return lost and not doubtful and not effect_in_doubt(held.situation.actions)


async def _quarantine(ports: Ports, held: Held) -> None:
    """Set a poison job aside. Its run at the provider is canceled and followed by the failed job."""
    ports.log(f"job {held.job.id}: set aside after stopping its worker {held.job.leases_lost} times")
    await failed(ports, held, "worker_crashed")


async def _wait(ports: Ports, held: Held, step: Wait) -> None:
    """Hand the job back until its time comes; a phase says why, if it changed."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told: list[Event] = []
        until = step.until
        if step.code == "provider_incident" and until is not None:
            until = still_held(tx, job, min(spread(ports, until), max(job.useful_until, now)), now)
        if step.phase is not None and job.phase is not step.phase:
            command = Command.WAIT if job.status is Status.QUEUED else Command.REQUEUE
            data = {"code": step.code, "until": step.until}
            job, event = lifecycle.apply(job, command, now, phase=step.phase, actor="backlane", data=data)
            told.append(event)
        if step.code == "type_not_loaded":
            type_missing(tx, ports, job)
        return replace(job, due_at=until), told

    await conclude(ports, held, turn)


async def _adopt(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """A run thought lost was found: the question is answered, the job follows it."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        job, told = close_open_review(tx, job, now, "expired")
        data = {"attempt": attempt.id}
        after, event = lifecycle.apply(
            job, Command.REQUEUE, now, phase=Phase.PROVIDER, actor="provider", data=data
        )
        return with_response(after, attempt), [event, *told]

    return await conclude(ports, held, turn, hold=True)


async def _ask_person(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    now = ports.clock.now()
    if attempt.state is not AttemptState.UNKNOWN:
        return await conclude(ports, held, lambda tx, job: doubt(tx, ports, job, now))
    return await conclude(ports, held, lambda tx, job: open_unknown_review(tx, ports, attempt, job, now))


async def _begin_expiry(ports: Ports, held: Held) -> Held | None:
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        data = {"reason": "useful_until", "useful_until": job.useful_until}
        after, event = lifecycle.apply(
            job, Command.BEGIN_EXPIRY, now, phase=Phase.CANCELING, actor="backlane", data=data
        )
        return replace(after, ends_as=after.ends_as or "expired", cancel_asked_at=now), [event]

    return await conclude(ports, held, turn, hold=True)


async def _end(ports: Ports, held: Held, ends_as: str) -> Held | None:
    """End as canceled or expired. A run still out is followed by the ended job for its cost."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        drop_planned(tx, held, now)
        job, told = close_open_review(tx, job, now, "expired")
        after, events = end(job, now, ends_as)
        attempt = held.attempt
        follows = attempt is not None and attempt.state in (AttemptState.SENDING, AttemptState.ACCEPTED)
        return replace(after, due_at=now if follows else None), [*events, *told]

    return await conclude(ports, held, turn)

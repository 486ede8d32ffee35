"""Looking at a run and asking for it to be stopped. Observing may move between workers; it never buys."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace
from typing import assert_never

from backlane.core import lifecycle
from backlane.core.action import effect_in_doubt
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase, Status
from backlane.core.lane import window_of
from backlane.core.lifecycle import TERMINAL, Command
from backlane.core.outcome import (
    Answer,
    Failed,
    Finished,
    Gone,
    LookOutcome,
    NotSent,
    Pending,
    Refused,
    Unknown,
    When,
)
from backlane.core.schedule import cancel_delay, look_delay
from backlane.core.storage import Transaction
from backlane.core.stream import new_status
from backlane.service.alert import result_gone
from backlane.service.conclude import conclude
from backlane.service.cost import book_unpriced
from backlane.service.fail import fail
from backlane.service.forget import forget_runs
from backlane.service.incident import LOOK, hold_lane, release_lane, spread
from backlane.service.keep import keep_end
from backlane.service.keep_evidence import keep_late
from backlane.service.late import settle_late
from backlane.service.live_text import with_streamed
from backlane.service.outputs import Output, add_outputs, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.settle import as_running, end, finish, with_response
from backlane.service.settle_remote import settle_remote
from backlane.service.situate import Held


async def look(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Retrieve the run and let the job follow what it says."""
    now = ports.clock.now()
    wait = ports.provider.look_wait(attempt.provider_account)
    if wait > 0:
        return await look_again(ports, held, attempt, now + wait, None)
    assert attempt.provider_response_id is not None
    call = ports.provider.look(attempt.provider_account, attempt.provider_response_id)
    outcome = await asked(ports, attempt, call)
    ports.point("looked")
    return await follow(ports, held, attempt, outcome)


async def cancel_run(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Ask the provider to stop the run, and follow what became of it."""
    assert attempt.provider_response_id is not None
    call = ports.provider.cancel(attempt.provider_account, attempt.provider_response_id)
    outcome = await asked(ports, attempt, call)
    ports.point("cancel_sent")
    return await follow(ports, held, attempt, outcome, canceled=True)


async def asked(ports: Ports, attempt: Attempt, call: Awaitable[LookOutcome]) -> LookOutcome:
    """What a look or a cancel answers, within the time that one call may take."""
    asked_at = ports.clock.now()
    try:
        async with asyncio.timeout(ports.timings.call_timeout * 1.5 / 1000):
            outcome = await call
    except TimeoutError:
        outcome = Unknown("timeout", "the provider did not answer in time")
    ports.health.note(attempt.provider_account, attempt.lane, outcome, asked_at, ports.clock.now())
    return outcome


async def follow(
    ports: Ports, held: Held, attempt: Attempt, outcome: LookOutcome, *, canceled: bool = False
) -> Held | None:
    """Keep what a look or a cancel answered, and let the job follow."""
    if attempt.state is AttemptState.CANCELED:
        result = await settle_late(ports, held, attempt, outcome)
        if isinstance(outcome, Finished | Failed):
            await forget_runs(ports, held.job.id, attempt)
        return result
    match outcome:
        case Pending():
            return await _pending(ports, held, attempt, outcome, canceled)
        case Finished(answer) | Failed(answer):
            if _is_stray(held, attempt):
                return await _finish_stray(ports, held, attempt, outcome)
            result = await finish(ports, held, attempt, answer)
            if answer.status != "canceled":
                await forget_runs(ports, held.job.id, attempt)
            return result
        case Gone() if attempt.interactive and canceled and attempt.cancel_sent_at is None:
            # Such a run cannot be read before it has ended: the provider may not have seen yet that we left.
            until = ports.clock.now() + _delay(ports, held, attempt, None, canceled)
            return await look_again(ports, held, attempt, until, None, canceled=True)
        case Gone():
            return await _gone(ports, held, attempt)
        case Refused() | NotSent() | Unknown():
            hint = None if isinstance(outcome, NotSent) else outcome.retry_after
            until = ports.clock.now() + _delay(ports, held, attempt, hint, canceled)
            incident = outcome if isinstance(outcome, Refused) and outcome.when is When.INCIDENT else None
            return await look_again(ports, held, attempt, until, incident, canceled=canceled)
        case _:
            assert_never(outcome)


def _is_stray(held: Held, attempt: Attempt) -> bool:
    return held.attempt is None or held.attempt.id != attempt.id


def _delay(ports: Ports, held: Held, attempt: Attempt, hint: int | None, canceled: bool) -> int:
    now, told_at = ports.clock.now(), held.told.get(attempt.id)
    told = None if told_at is None else max(now - told_at, 0)
    if canceled or held.job.phase is Phase.CANCELING or held.job.status in TERMINAL:
        since = now - (attempt.cancel_sent_at or now)
        return max(cancel_delay(since, ports.timings, told), hint or 0)
    age, window = now - (attempt.accepted_at or now), window_of(attempt.window)
    hinted, usual = held.hinted, held.usual
    return look_delay(
        age, ports.timings, hint, ports.chance(), usual, hinted=hinted, window=window, told=told
    )


def _due(job: Job, at: int) -> int:
    """A look is never later than the end of the useful window."""
    return at if job.status in TERMINAL else min(at, max(job.useful_until, job.phase_since))


async def _pending(
    ports: Ports, held: Held, attempt: Attempt, outcome: Pending, canceled: bool
) -> Held | None:
    now = ports.clock.now()
    until = now + _delay(ports, held, attempt, outcome.look_after, canceled)

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        changes = {"cancel_sent_at": attempt.cancel_sent_at or now} if canceled else {}
        tx.move_attempt(
            attempt.id,
            [AttemptState.ACCEPTED],
            provider_status=outcome.status,
            looked_at=now,
            look_at=until,
            looks=attempt.looks + 1,
            **changes,
        )
        tx.keep_unknown(attempt.id, new_status(outcome.status))
        release_lane(tx, ports, (attempt.provider_account, attempt.lane), by=LOOK)
        told: list[Event] = []
        if _is_stray(held, attempt):
            return replace(job, due_at=now), told
        starts = outcome.status == "in_progress" and job.status is Status.QUEUED
        if starts and job.phase is not Phase.CANCELING:
            job, started = lifecycle.apply(job, Command.START, now, phase=Phase.MODEL, actor="provider")
            told.append(started)
        return replace(with_response(job, attempt), due_at=_due(job, until)), told

    return await conclude(ports, held, turn)


async def look_again(
    ports: Ports,
    held: Held,
    attempt: Attempt,
    until: int,
    incident: Refused | None,
    *,
    canceled: bool = False,
) -> Held | None:
    """Nothing was learned: look again later; the run goes on without us."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        at = until
        if incident is not None and job.status not in TERMINAL:
            place = attempt.provider_account, attempt.lane
            hold_lane(tx, ports, place, incident.code, incident.message, found_by=LOOK)
            # A look buys nothing: it needs no turn of its own to find out whether the incident is over.
            at = spread(ports, now + ports.timings.incident_probe)
        changes = {"cancel_sent_at": attempt.cancel_sent_at or now} if canceled else {}
        tx.move_attempt(attempt.id, [AttemptState.ACCEPTED], look_at=at, **changes)
        if job.phase is Phase.CANCELING and job.cancel_asked_at is not None:
            at = min(at, job.cancel_asked_at + ports.timings.cancel_wait)
        return replace(job, due_at=_due(job, at)), ()

    return await conclude(ports, held, turn)


async def _gone(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """The provider no longer has the run: its cost stays unknown, its result is lost but for what was streamed."""
    outputs = await _streamed_outputs(ports, held, attempt)
    now = ports.clock.now()

    def fact(tx: Transaction) -> Sequence[Event]:
        moved = tx.move_attempt(
            attempt.id,
            [AttemptState.ACCEPTED],
            state=AttemptState.GONE,
            finished_at=now,
            looked_at=now,
            look_at=None,
            code="result_gone",
        )
        if not moved:
            return ()
        data = {"attempt": attempt.id, "state": AttemptState.GONE, "code": "result_gone"}
        gone = Event("attempt.finished", now, "provider", data)
        lost = settle_remote(tx, ports, attempt, None)
        return [
            gone,
            *lost,
            *book_unpriced(tx, ports, held.job, attempt, "the provider no longer has the run"),
        ]

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        if _is_stray(held, attempt):
            return replace(job, due_at=None if job.status in TERMINAL else now), ()
        kept = add_outputs(tx, ports, job, outputs, attempt_id=attempt.id, now=now)
        if job.status in TERMINAL:
            return replace(job, due_at=None), kept
        if job.phase is Phase.CANCELING:
            after, ended = end(job, now, job.ends_as or "canceled")
            return after, [*kept, *ended]
        if effect_in_doubt(tx.actions(job.id)):
            return replace(job, due_at=now), kept
        running, told = as_running(job, now, attempt)
        after, event = fail(running, now, "result_gone", partial=bool(kept))
        result_gone(tx, ports, job)
        ports.log(f"job {job.id}: the provider no longer has its result; was the worker down?")
        return after, [*told, *kept, event]

    return await conclude(ports, held, turn, fact=fact)


async def _streamed_outputs(ports: Ports, held: Held, attempt: Attempt) -> list[Output]:
    """What was streamed of a run that nobody can read any more, as `partial`."""
    if not held.job.live or _is_stray(held, attempt):
        return []
    answer = Answer(attempt.provider_response_id or "", "failed")
    return await unhappy_outputs(ports, await with_streamed(ports, held.job, answer))


async def _finish_stray(
    ports: Ports, held: Held, attempt: Attempt, outcome: Finished | Failed
) -> Held | None:
    """A second purchase that was found: booked, kept as late, and the job goes its own way."""
    answer = outcome.answer
    found = await keep_late(ports, held, attempt, answer)
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told = add_outputs(tx, ports, job, found.outputs, attempt_id=attempt.id, now=now)
        tx.drop_answer(attempt.id)
        return replace(job, due_at=now), [*found.told, *told]

    return await conclude(ports, held, turn, fact=lambda tx: keep_end(tx, ports, held, attempt, answer))

"""Finding out what became of an interactive run whose stream is lost: it ended all the same, or nobody will know.

A run that nobody can tell about is asked about like a lost create; it is never bought again from here.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import STREAM_LOST, Attempt, AttemptState, Job, Phase, Status
from backlane.core.lifecycle import Command
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
)
from backlane.core.schedule import look_delay
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.cost import book_cost
from backlane.service.live_text import with_streamed
from backlane.service.observe import asked, follow
from backlane.service.outputs import Output, add_outputs, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.situate import Held

_LOST = (AttemptState.ACCEPTED, AttemptState.UNKNOWN)


async def recover(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Retrieve the run. Until it has ended the provider does not know it; stopped with its stream, it is lost."""
    wait = ports.provider.look_wait(attempt.provider_account)
    if wait > 0:
        return await _look_again(ports, held, attempt, ports.clock.now() + wait)
    assert attempt.provider_response_id is not None
    call = ports.provider.look(attempt.provider_account, attempt.provider_response_id)
    outcome = await asked(ports, attempt, call)
    ports.point("recovered")
    match outcome:
        case Finished(answer) if answer.status == "canceled" and not _attached(attempt):
            return await _lose(ports, held, attempt, answer)
        case Gone():
            return await _lose(ports, held, attempt, None)
        case Finished() | Failed():
            return await follow(ports, held, attempt, outcome)
        case Pending() | Refused() | NotSent() | Unknown():
            if attempt.state is AttemptState.ACCEPTED:
                return await follow(ports, held, attempt, outcome)
            return await _look_again(ports, held, attempt, _later(ports, attempt, outcome))


def _attached(attempt: Attempt) -> bool:
    """Whether a person took the lost run for the job's own, as it is: then its end is the answer."""
    return attempt.state is AttemptState.ACCEPTED and attempt.code == STREAM_LOST


def _later(ports: Ports, attempt: Attempt, outcome: LookOutcome) -> int:
    hint = outcome.retry_after if isinstance(outcome, Refused | Unknown) else None
    now = ports.clock.now()
    return now + look_delay(now - (attempt.unknown_at or now), ports.timings, hint, ports.chance())


async def _look_again(ports: Ports, held: Held, attempt: Attempt, until: int) -> Held | None:
    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        tx.move_attempt(attempt.id, _LOST, look_at=until)
        return replace(job, due_at=min(until, max(job.useful_until, job.phase_since))), ()

    return await conclude(ports, held, turn)


async def _lose(ports: Ports, held: Held, attempt: Attempt, answer: Answer | None) -> Held | None:
    """Nobody will have the rest of this run. What was streamed is kept; what it cost, as far as it was told."""
    ended = answer or Answer(attempt.provider_response_id or "", "failed")
    outputs = await unhappy_outputs(ports, await with_streamed(ports, held.job, ended))
    now = ports.clock.now()

    def fact(tx: Transaction) -> Sequence[Event]:
        known = {} if answer is None else {"provider_status": answer.status, "usage": answer.usage}
        lost: dict[str, Any] = {
            "state": AttemptState.UNKNOWN,
            "unknown_at": now,
            "looked_at": now,
            "code": STREAM_LOST,
        }
        lost["look_at"] = None
        if not tx.move_attempt(attempt.id, [AttemptState.ACCEPTED], **lost, **known):
            tx.move_attempt(attempt.id, [AttemptState.UNKNOWN], looked_at=now, **known)
            return ()
        told = Event("attempt.unknown", now, "backlane", {"attempt": attempt.id, "code": STREAM_LOST})
        booked = book_cost(tx, ports, held.job, attempt, answer) if answer and answer.usage else []
        return [told, *booked]

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told = _kept_once(tx, ports, job, attempt, outputs, now)
        if job.status is Status.RUNNING:
            data = {"attempt": attempt.id, "code": STREAM_LOST}
            job, event = lifecycle.apply(
                job, Command.REQUEUE, now, phase=Phase.PROVIDER, actor="backlane", data=data
            )
            told.append(event)
        elif job.phase is not Phase.PROVIDER:
            job, event = lifecycle.apply(job, Command.SEND, now, phase=Phase.PROVIDER, actor="backlane")
            told.append(event)
        return replace(job, due_at=now), told

    return await conclude(ports, held, turn, fact=fact, hold=True)


def _kept_once(
    tx: Transaction, ports: Ports, job: Job, attempt: Attempt, outputs: Sequence[Output], now: int
) -> list[Event]:
    """Write the partial output, unless an earlier look at the same lost run did."""
    known = [row for row in tx.artifacts(job.id) if row["attempt_id"] == attempt.id]
    if any(row["kind"] == "partial" for row in known):
        return []
    return add_outputs(tx, ports, job, outputs, attempt_id=attempt.id, now=now)

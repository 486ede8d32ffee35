"""Stopping the turn that a person's words overtook, so that the next one can go on with them.

What the run had written and cost is kept; a run that had ended already is gone on from instead.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import STEERED, Attempt, AttemptState, Job, Phase, Status
from backlane.core.lifecycle import Command
from backlane.core.outcome import Answer, Failed, Finished, LookOutcome, Unknown
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.cost import book_cost
from backlane.service.observe import asked, follow
from backlane.service.ports import Ports
from backlane.service.situate import Held

_UNSENT = (AttemptState.PLANNED,)


async def steer(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Let go of the run's stream, which stops it, and put the job in line for its next turn."""
    await ports.streams.drop(attempt.id)
    if attempt.state is not AttemptState.ACCEPTED:
        return await _stop(ports, held, attempt, None)
    outcome = await _last_look(ports, attempt)
    ports.point("steered")
    if not isinstance(outcome, Finished | Failed):
        return await _stop(ports, held, attempt, None)
    if outcome.answer.status == "canceled":
        return await _stop(ports, held, attempt, outcome.answer)
    return await follow(ports, held, attempt, outcome)


async def _last_look(ports: Ports, attempt: Attempt) -> LookOutcome:
    """What the provider knows of the run now. It is not waited for: a later look books what it cost."""
    if attempt.provider_response_id is None or ports.provider.look_wait(attempt.provider_account) > 0:
        return Unknown("not_asked", "there was no room for a look")
    call = ports.provider.look(attempt.provider_account, attempt.provider_response_id)
    return await asked(ports, attempt, call)


async def _stop(ports: Ports, held: Held, attempt: Attempt, answer: Answer | None) -> Held | None:
    now = ports.clock.now()
    usage = None if answer is None else answer.usage

    def fact(tx: Transaction) -> Sequence[Event]:
        stopped: dict[str, Any] = {"state": AttemptState.CANCELED, "code": STEERED, "finished_at": now}
        if tx.move_attempt(attempt.id, _UNSENT, **stopped):
            return ()
        seen = {"usage": usage, "looked_at": now, "look_at": now + ports.timings.late_look}
        if not tx.move_attempt(attempt.id, [AttemptState.ACCEPTED], **stopped, **seen):
            return ()
        data = {"attempt": attempt.id, "number": attempt.number, "state": AttemptState.CANCELED}
        told = Event("attempt.finished", now, "backlane", {**data, "code": STEERED, "usage": usage})
        # What it cost is often told later, if at all.
        booked = book_cost(tx, ports, held.job, attempt, answer) if answer and usage is not None else []
        return [told, *booked]

    def turn(_: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        return in_line(job, now, attempt)

    return await conclude(ports, held, turn, fact=fact, hold=True)


def in_line(job: Job, now: int, attempt: Attempt) -> tuple[Job, list[Event]]:
    """The job, ready for the turn that takes a person's words up."""
    told: list[Event] = []
    data = {"reason": "message", "attempt": attempt.id}
    if job.status is Status.RUNNING:
        job, event = lifecycle.apply(
            job, Command.REQUEUE, now, phase=Phase.READY, actor="backlane", data=data
        )
        told.append(event)
    elif job.phase is Phase.PROVIDER:
        job, event = lifecycle.apply(job, Command.WAIT, now, phase=Phase.READY, actor="backlane", data=data)
        told.append(event)
    return replace(job, due_at=now), told

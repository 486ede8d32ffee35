"""The last word on a run that was reported canceled: some of them complete all the same, and cost money.

The job's end stands. The usage is booked, a result is kept as `late`, the contradiction is an event.
"""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job
from backlane.core.lifecycle import TERMINAL
from backlane.core.outcome import Answer, Failed, Finished, Gone, LookOutcome, Pending
from backlane.core.storage import Transaction
from backlane.service.conclude import Turn, conclude
from backlane.service.cost import book_cost, book_unpriced
from backlane.service.keep_evidence import Evidence, keep_late
from backlane.service.outputs import add_outputs
from backlane.service.ports import Ports
from backlane.service.situate import Held


def looked_at_late(attempt: Attempt, turn: Turn) -> Turn:
    """The turn, after which the job that ended comes back for its run's last word."""

    def wrapped(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        after, told = turn(tx, job)
        row = tx.attempt(attempt.id)
        if after.status in TERMINAL and row is not None and row.state is AttemptState.CANCELED:
            after = replace(after, due_at=row.look_at)
        return after, told

    return wrapped


async def settle_late(ports: Ports, held: Held, attempt: Attempt, outcome: LookOutcome) -> Held | None:
    """Keep what a look at a canceled run says: its end, or that we must look again."""
    match outcome:
        case Finished(answer) | Failed(answer):
            return await _last_word(ports, held, attempt, answer)
        case Gone():
            return await _last_word(ports, held, attempt, None)
        case _:
            return await _look_again(ports, held, attempt, outcome)


async def _last_word(ports: Ports, held: Held, attempt: Attempt, answer: Answer | None) -> Held | None:
    found = Evidence()
    if answer is not None and answer.status != "canceled":
        found = await keep_late(ports, held, attempt, answer)
    now = ports.clock.now()

    def fact(tx: Transaction) -> Sequence[Event]:
        row = tx.attempt(attempt.id)
        if row is None or row.look_at is None:
            return ()
        known = {} if answer is None else {"provider_status": answer.status, "usage": answer.usage}
        tx.move_attempt(attempt.id, [AttemptState.CANCELED], look_at=None, looked_at=now, **known)
        told: list[Event] = []
        if answer is None:
            told += book_unpriced(tx, ports, held.job, attempt, "the provider no longer has the run")
        else:
            told += book_cost(tx, ports, held.job, attempt, answer)
            if answer.status != "canceled":
                told.append(_contradicted(attempt, now, answer.status))
        return told

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told = add_outputs(tx, ports, job, found.outputs, attempt_id=attempt.id, now=now)
        return replace(job, due_at=now), [*found.told, *told]

    return await conclude(ports, held, turn, fact=fact)


async def _look_again(ports: Ports, held: Held, attempt: Attempt, outcome: LookOutcome) -> Held | None:
    now = ports.clock.now()
    until = now + ports.timings.late_look
    said = outcome.status if isinstance(outcome, Pending) else None

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        known = {} if said is None else {"provider_status": said}
        tx.move_attempt(attempt.id, [AttemptState.CANCELED], look_at=until, looked_at=now, **known)
        news = said is not None and said != attempt.provider_status
        told = [_contradicted(attempt, now, said)] if news and said else []
        return replace(job, due_at=now), told

    return await conclude(ports, held, turn)


def _contradicted(attempt: Attempt, now: int, said: str) -> Event:
    """The provider called the run canceled and now says otherwise; what was kept stands."""
    data = {"attempt": attempt.id, "state": AttemptState.CANCELED, "status": said, "code": "contradicted"}
    return Event("attempt.finished", now, "provider", data)

"""Ending a job as failed: one cause, one sentence, four answers."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.failure import card
from backlane.core.job import AttemptState, Job
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.conclude import Fact, conclude, no_fact
from backlane.service.ports import Ports
from backlane.service.situate import Held


def fail(
    job: Job,
    now: int,
    code: str,
    *,
    detail: str | None = None,
    partial: bool = False,
    actor: str = "backlane",
) -> tuple[Job, Event]:
    """The failed job and its event. `detail` must hold nothing a model or tool wrote."""
    # The provider's words may quote what was sent to it.
    failure = card(code, detail=None if job.sensitive else detail, partial=partial)
    data = {"cause": failure["cause"], "code": code}
    job, event = lifecycle.apply(job, Command.FAIL, now, actor=actor, data=data)
    return replace(job, failure=failure, due_at=None), event


async def failed(
    ports: Ports, held: Held, code: str, *, detail: str | None = None, fact: Fact = no_fact
) -> Held | None:
    """End a held job as failed; a planned attempt is closed with it."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        drop_planned(tx, held, now)
        partial = any(row["kind"] == "partial" for row in tx.artifacts(job.id))
        after, event = fail(job, now, code, detail=detail, partial=partial)
        # A run that is still out is followed for its cost, from the same write on.
        out = held.attempt is not None and held.attempt.state is AttemptState.ACCEPTED
        return replace(after, due_at=now if out else None), [event]

    return await conclude(ports, held, turn, fact=fact)


def drop_planned(tx: Transaction, held: Held, now: int) -> None:
    """An intent that was never sent ends with its job, and so does an answer whose calls are not answered."""
    if held.attempt is not None:
        if held.situation.calls > 0:
            tx.drop_answer(held.attempt.id)
        tx.move_attempt(held.attempt.id, [AttemptState.PLANNED], state=AttemptState.CANCELED, finished_at=now)

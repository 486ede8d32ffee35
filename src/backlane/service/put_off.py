"""Putting a job off: it waits in the queue for a timer, for capacity, for a held lane or for money."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.incident import still_held
from backlane.service.ports import Ports
from backlane.service.situate import Held

_ACTOR = "backlane"


def waiting(job: Job, now: int, until: int, phase: Phase, code: str) -> tuple[Job, Sequence[Event]]:
    """The job in the queue again until a timer runs out, never past its useful window."""
    until = min(until, max(job.useful_until, now))
    data = {"code": code, "until": until}
    job, told = lifecycle.apply(job, Command.WAIT, now, phase=phase, actor=_ACTOR, data=data)
    return replace(job, wait_until=until, tries=job.tries + 1, due_at=until), [told]


async def put_off(
    ports: Ports, held: Held, until: int, phase: Phase, code: str, *, lane_held: bool = False
) -> Held | None:
    """Wait for capacity, or for a held lane, before a planned attempt is sent."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        at = min(until, max(job.useful_until, now))
        if lane_held:
            at = still_held(tx, job, at, now)
        told: list[Event] = []
        if job.phase is not phase:
            job, waits = lifecycle.apply(
                job, Command.WAIT, now, phase=phase, actor=_ACTOR, data={"code": code, "until": at}
            )
            told.append(waits)
        return replace(job, wait_until=at, due_at=at), told

    return await conclude(ports, held, turn)

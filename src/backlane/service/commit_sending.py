"""Committing that a run is being sent: its lane is not held, its money is there, and what it carries is approved.

All of it is asked in the one transaction that commits `sending`: lanes first, then budgets, then the log.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.incident import Passage, passage
from backlane.service.ports import Ports
from backlane.service.reserve import Room, held_by, reserve, room_for
from backlane.service.situate import Held
from backlane.service.stand_remote import contents_carried, held_back

_ACTOR = "backlane"


async def waits_for_money(ports: Ports, held: Held) -> bool:
    """Whether the job was handed back because a budget has no room for its run: nothing is uploaded or tried for it.

    Only a job that waits for a budget already, or whose lane is held, is asked about here; what counts is asked
    when its sending is committed.
    """
    if held.job.phase is not Phase.BUDGET and held.situation.incident_until is None:
        return False
    now = ports.clock.now()
    room = await ports.store.read(lambda tx: room_for(tx, held.job, now))
    if room.full is None:
        return False

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        again = room_for(tx, job, now, lock=True)
        return (replace(job, due_at=now), ()) if again.full is None else held_by(ports, job, again.full, now)

    await conclude(ports, held, turn)
    return True


async def commit_sending(
    ports: Ports, held: Held, attempt: Attempt, model: str | None, taken: Passage | None
) -> tuple[Held | None, Passage | None]:
    """Commit that the create is being sent, unless its lane is held; `taken` was given for its files' upload.

    There is no passage where a budget has no room for it, or an approval that it carries does not stand: what to
    do then is decided anew.
    """
    contents = await contents_carried(ports, held)
    now = ports.clock.now()
    way: Passage | None = None
    room = Room()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        nonlocal way, room
        way = passage(tx, ports, job, now, taken)
        if not way.open:
            return job, ()
        # After the lane's row, as whoever books a cost, or holds or opens a lane, locks them.
        room = room_for(tx, job, now, lock=True)
        if room.full is not None:
            way = None
            return held_by(ports, job, room.full, now)
        back = held_back(tx, ports, job, attempt, contents)
        if back is not None:
            way = None
            return back
        job, lifted = reserve(tx, job, attempt, room, now)
        job, sent = _sending(tx, ports, job, attempt, now, model=model, probe=way.probe)
        return job, [*lifted, *sent]

    # A job that has to wait for money is handed back in the same write: what frees some must find it waiting.
    return await conclude(ports, held, turn, hold=lambda: room.full is None), way


def _sending(
    tx: Transaction,
    ports: Ports,
    job: Job,
    attempt: Attempt,
    now: int,
    *,
    model: str | None,
    probe: int | None,
) -> tuple[Job, list[Event]]:
    """The attempt as sent; the job as with the provider."""
    tx.move_attempt(
        attempt.id,
        [AttemptState.PLANNED],
        state=AttemptState.SENDING,
        sent_at=now,
        sender=ports.worker.boot_id,
        model=model,
        stream_state="open" if job.live else None,
    )
    data: dict[str, Any] = {"attempt": attempt.id, "number": attempt.number}
    if probe is not None:
        data["probe"] = probe
    events = [Event("attempt.sent", now, _ACTOR, data)]
    if job.phase is not Phase.PROVIDER:
        job, changed = lifecycle.apply(job, Command.SEND, now, phase=Phase.PROVIDER, actor=_ACTOR)
        events.append(changed)
    return job, events

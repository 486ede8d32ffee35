"""A create was accepted: the run's id is kept on its own attempt, its live stream for whoever reads it here."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase, Status
from backlane.core.lane import window_of
from backlane.core.lifecycle import Command
from backlane.core.outcome import Accepted
from backlane.core.schedule import look_delay
from backlane.core.storage import Transaction
from backlane.core.stream import Streaming, new_status
from backlane.service.conclude import conclude
from backlane.service.incident import release_lane
from backlane.service.ports import Ports
from backlane.service.situate import Held


async def streaming(ports: Ports, held: Held, attempt: Attempt, outcome: Streaming) -> Held | None:
    """The run streams: whoever goes on with the job here reads it; without room it is looked at.

    An interactive run is lost without its stream, so room was looked for before it was bought.
    """
    if not (attempt.interactive or ports.streams.has_room(attempt.id)):
        await outcome.events.aclose()
        return await accepted(ports, held, attempt, outcome.accepted, stream={"stream_seq": outcome.seq})
    ports.streams.put(attempt.id, outcome.events)
    result = None
    try:
        stream = {"stream_seq": outcome.seq}
        result = await accepted(ports, held, attempt, outcome.accepted, stream=stream, hold=True)
    finally:
        if result is None:
            await ports.streams.drop(attempt.id)
    return result


async def accepted(
    ports: Ports,
    held: Held,
    attempt: Attempt,
    outcome: Accepted,
    *,
    stream: Mapping[str, Any] | None = None,
    hold: bool = False,
) -> Held | None:
    """Keep the run's id. A live job that was answered without a stream is looked at from now on."""
    now = ports.clock.now()
    delay = 0 if outcome.ended or hold else _first_look(ports, held, outcome)
    known = stream or ({"stream_state": "lost"} if held.job.live else {})

    def fact(tx: Transaction) -> Sequence[Event]:
        told = keep_accepted(tx, attempt.id, outcome.response_id, outcome.status, now, look_at=now + delay)
        if told and known:
            tx.move_attempt(attempt.id, [AttemptState.ACCEPTED], **known)
        if not outcome.ended:
            tx.keep_unknown(attempt.id, new_status(outcome.status))
        return told

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        release_lane(tx, ports, (attempt.provider_account, attempt.lane))
        events: list[Event] = []
        job = replace(job, provider_response_id=outcome.response_id, tries=0, due_at=now + delay)
        if outcome.status == "in_progress" and job.status is Status.QUEUED:
            job, started = lifecycle.apply(job, Command.START, now, phase=Phase.MODEL, actor="provider")
            events.append(started)
        return job, events

    return await conclude(ports, held, turn, fact=fact, hold=hold or outcome.ended)


def _first_look(ports: Ports, held: Held, outcome: Accepted) -> int:
    hinted, window = held.hinted, window_of(held.job.window)
    return look_delay(
        0, ports.timings, outcome.look_after, ports.chance(), held.usual, hinted=hinted, window=window
    )


def keep_accepted(
    tx: Transaction, attempt_id: str, response_id: str, status: str, now: int, *, look_at: int
) -> list[Event]:
    """Keep a provider id on its attempt, if none is kept; the events that tell of it."""
    if not tx.keep_response_id(attempt_id, response_id):
        return []
    lost = tx.attempt(attempt_id)
    tx.move_attempt(
        attempt_id,
        [AttemptState.SENDING, AttemptState.UNKNOWN],
        state=AttemptState.ACCEPTED,
        accepted_at=now,
        provider_status=status,
        look_at=look_at,
    )
    data = {"attempt": attempt_id, "provider_response_id": response_id, "status": status}
    found = lost is not None and lost.state is AttemptState.UNKNOWN
    return [Event("attempt.adopted" if found else "attempt.accepted", now, "provider", data)]

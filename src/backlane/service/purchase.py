"""Buying a run: the intent is committed, then `sending`, then one create; its outcome is kept as it came.

A create that may have been sent is never sent again from here.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import assert_never

from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptReason, AttemptState, Job, Phase
from backlane.core.outcome import Accepted, CreateOutcome, NotSent, Refused, Unknown, When
from backlane.core.ports import CreateCall
from backlane.core.schedule import retry_delay
from backlane.core.storage import Transaction
from backlane.core.stream import Streaming
from backlane.service.accept import accepted, streaming
from backlane.service.attach import attached
from backlane.service.bring import CannotAttach, NotYet, forget_copies
from backlane.service.build_request import CannotBuild, build_request
from backlane.service.commit_sending import commit_sending, waits_for_money
from backlane.service.conclude import conclude
from backlane.service.continuation import continuation_of
from backlane.service.fail import failed
from backlane.service.incident import hold_lane
from backlane.service.intent import intent
from backlane.service.live_text import voided
from backlane.service.placing import is_misplaced, placed_anew
from backlane.service.ports import Ports
from backlane.service.put_off import put_off, waiting
from backlane.service.reserve import free_unbought
from backlane.service.situate import Held
from backlane.service.take_turns import forgotten, keep_turn, turned
from backlane.service.try_lane import try_lane

_ACTOR = "backlane"
# A worker whose streams are full is asked again after so long, milliseconds.
_NO_ROOM = 1_000
# A file that is gone is uploaded anew; if it is gone each time, somebody deletes it.
_FILE_GONE_AT_MOST = 3


async def plan(ports: Ports, held: Held, reason: AttemptReason) -> Held | None:
    """Commit the intent to buy a run. Safe to carry out later: nothing has been sent."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        attempt = intent(ports, job, len(held.attempts) + 1, reason, now)
        tx.insert_attempt(attempt)
        keep_turn(tx, held.attempt, attempt, now)
        data = {"attempt": attempt.id, "number": attempt.number, "reason": reason, "lane": job.lane}
        told = Event("attempt.planned", now, _ACTOR, data)
        return replace(job, wait_until=None), [told, *voided(tx, job, attempt.id, now)]

    result = await conclude(ports, held, turn, hold=True)
    ports.point("planned")
    return result


async def send(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Commit `sending`, then call create, then keep its outcome."""
    if is_misplaced(ports, held.job, attempt):
        return await placed_anew(ports, held, attempt)
    if await waits_for_money(ports, held):
        return None
    try:
        params = await turned(ports, held, attempt, await build_request(ports, held))
        tried, taken = await try_lane(ports, held, params)
        if tried is None:
            return None
        held = tried
        if taken is not None and not taken.open:
            return await put_off(ports, held, taken.until, Phase.INCIDENT, taken.code, lane_held=True)
        files = await attached(ports, held, params)
    except (CannotBuild, CannotAttach) as error:
        return await failed(ports, held, error.code, detail=str(error))
    if files is not None:
        return await _await_files(ports, held, files)
    wait = ports.provider.create_wait(attempt.provider_account, params.get("model"))
    if wait > 0:
        return await put_off(ports, held, ports.clock.now() + wait, Phase.CAPACITY, "rate_limit")
    if attempt.interactive and not ports.streams.has_room(attempt.id):
        return await put_off(ports, held, ports.clock.now() + _NO_ROOM, Phase.CAPACITY, "streams_full")
    sending, way = await commit_sending(ports, held, attempt, params.get("model"), taken)
    if sending is None or way is None:
        return sending
    if not way.open:
        return await put_off(ports, sending, way.until, Phase.INCIDENT, way.code, lane_held=True)
    ports.point("sending")
    named = {"backlane_job": held.job.id, "backlane_attempt": attempt.id}
    params["metadata"] = {**(params.get("metadata") or {}), **named}
    call = CreateCall(
        attempt.id,
        attempt.provider_account,
        params,
        window=attempt.window,
        continuation=continuation_of(held.job, held.type),
        background=not attempt.interactive,
    )
    sent_at = ports.clock.now()
    try:
        async with asyncio.timeout(ports.timings.call_timeout * 1.5 / 1000):
            buy = ports.provider.open_stream if held.job.live else ports.provider.create
            outcome = await buy(call)
    except TimeoutError:
        outcome = Unknown("timeout", "the provider did not answer in time")
    ports.health.note(attempt.provider_account, attempt.lane, outcome, sent_at, ports.clock.now())
    ports.point("answered")
    return await keep_create(ports, sending, attempt, outcome)


async def _await_files(ports: Ports, held: Held, files: NotYet) -> Held | None:
    """A file must be at the provider first; what a person must mend there holds the lane as a create's refusal does."""
    if files.refusal is None:
        return await put_off(ports, held, files.until, files.phase, files.code)
    code, message, now = files.code, files.refusal.message, ports.clock.now()
    place = held.job.provider_account, held.job.lane

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        return waiting(job, now, hold_lane(tx, ports, place, code, message), files.phase, code)

    return await conclude(ports, held, turn)


async def keep_create(
    ports: Ports, held: Held, attempt: Attempt, outcome: CreateOutcome | Streaming
) -> Held | None:
    """Keep what a create answered, on its own attempt, and let the job follow."""
    match outcome:
        case Streaming():
            return await streaming(ports, held, attempt, outcome)
        case Accepted():
            return await accepted(ports, held, attempt, outcome)
        case Refused():
            return await _refused(ports, held, attempt, outcome)
        case NotSent():
            return await _not_sent(ports, held, attempt, outcome)
        case Unknown():
            return await mark_unknown(ports, held, attempt, outcome.code)
        case _:
            assert_never(outcome)


async def _refused(ports: Ports, held: Held, attempt: Attempt, outcome: Refused) -> Held | None:
    now = ports.clock.now()
    anew = await forgotten(ports, attempt, outcome.code)
    file_gone = outcome.code == "file_gone" and _refused_as(held, "file_gone") < _FILE_GONE_AT_MOST
    if outcome.when is When.NEVER and not (anew or file_gone):
        return await failed(
            ports,
            held,
            outcome.code,
            detail=outcome.message,
            fact=lambda tx: _keep_refusal(tx, ports, held, attempt, AttemptState.REFUSED, outcome.code),
        )
    delay = retry_delay(held.job.tries, ports.timings, outcome.retry_after, ports.chance())
    phase = Phase.RETRY

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        until = now if anew else now + delay
        if file_gone:
            forget_copies(tx, job)
        if outcome.when is When.INCIDENT:
            place = attempt.provider_account, attempt.lane
            until = hold_lane(tx, ports, place, outcome.code, outcome.message)
        return waiting(job, now, until, phase, outcome.code)

    if outcome.when is When.INCIDENT:
        phase = Phase.INCIDENT
    return await conclude(
        ports,
        held,
        turn,
        fact=lambda tx: _keep_refusal(tx, ports, held, attempt, AttemptState.REFUSED, outcome.code),
    )


def _refused_as(held: Held, code: str) -> int:
    return sum(1 for one in held.attempts if one.state is AttemptState.REFUSED and one.code == code)


async def _not_sent(ports: Ports, held: Held, attempt: Attempt, outcome: NotSent) -> Held | None:
    now = ports.clock.now()
    delay = retry_delay(held.job.tries, ports.timings, None, ports.chance())
    return await conclude(
        ports,
        held,
        lambda _, job: waiting(job, now, now + delay, Phase.RETRY, "not_sent"),
        fact=lambda tx: _keep_refusal(tx, ports, held, attempt, AttemptState.NOT_SENT, "not_sent"),
    )


def _keep_refusal(
    tx: Transaction, ports: Ports, held: Held, attempt: Attempt, state: AttemptState, code: str
) -> Sequence[Event]:
    sources, now = [AttemptState.SENDING, AttemptState.UNKNOWN], ports.clock.now()
    if not tx.move_attempt(attempt.id, sources, state=state, code=code, finished_at=now):
        return ()
    free_unbought(tx, ports, held.job, attempt)
    return [Event("attempt.refused", now, "provider", {"attempt": attempt.id, "state": state, "code": code})]


async def mark_unknown(ports: Ports, held: Held, attempt: Attempt, code: str) -> Held | None:
    """Say honestly that nobody knows whether this create was bought. Nothing sends it again."""
    now = ports.clock.now()

    def fact(tx: Transaction) -> Sequence[Event]:
        unknown = tx.move_attempt(
            attempt.id, [AttemptState.SENDING], state=AttemptState.UNKNOWN, unknown_at=now, code=code
        )
        data = {"attempt": attempt.id, "code": code}
        return [Event("attempt.unknown", now, _ACTOR, data)] if unknown else ()

    def turn(_: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        return replace(job, due_at=now + ports.timings.unknown_wait), ()

    return await conclude(ports, held, turn, fact=fact)

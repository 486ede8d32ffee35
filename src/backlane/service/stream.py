"""Reading a run's live stream: what it writes is gathered, committed as events with the cursor, and only then seen.

A stream never buys, and never decides how a run ended: its terminal object or a look does. Losing it loses nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase, Status
from backlane.core.lifecycle import Command
from backlane.core.ports import Due
from backlane.core.storage import Transaction
from backlane.core.stream import (
    PIECE,
    TRIES_IN_VAIN,
    UNKNOWN_AT_MOST,
    Began,
    Break,
    Broken,
    Ended,
    Events,
    Moved,
    Opened,
    Place,
    StreamEvent,
    TakenUp,
    Text,
    new_status,
    place_of,
)
from backlane.service.conclude import conclude
from backlane.service.intake import Intake
from backlane.service.live_text import deltas
from backlane.service.observe import follow, look, look_again
from backlane.service.ports import Ports
from backlane.service.recover import recover
from backlane.service.situate import Held

# A stream that somebody steers and that is silent is broken off at most so late, milliseconds.
_SILENT_AT_MOST = 1_000
# After these the stream is taken up again at once, if it had brought anything new.
_TAKEN_UP_AGAIN = frozenset({Break.CUT, Break.ENDED_EARLY, Break.SILENT, Break.GAP, Break.UNAVAILABLE})


@dataclass(frozen=True, slots=True)
class _Stopped:
    """This worker stops reading; `lost` says that the job is somebody else's now."""

    lost: bool


async def follow_live(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Read a run's stream until it ends, breaks, or this worker must let go; the job follows what it says."""
    assert attempt.provider_response_id is not None
    account, run = attempt.provider_account, attempt.provider_response_id
    events = ports.streams.take(attempt.id)
    if events is None and attempt.interactive:
        return await recover(ports, held, attempt)
    if events is None:
        wait = ports.provider.look_wait(account)
        if wait > 0:
            return await look_again(ports, held, attempt, ports.clock.now() + wait, None)
        events = _taken_up(ports, attempt, ports.provider.resume_stream(account, run, attempt.stream_seq))
    reader = _Reader(ports, held, attempt, attempt.stream_seq, renewed=ports.clock.now())
    with ports.streams.reading(held.job.id, stays=attempt.interactive) as let_go:
        async with Intake(events, let_go, ports.clock) as intake:
            end = await reader.read(intake)
    match end:
        case Ended(outcome):
            await reader.commit()
            ports.point("streamed")
            return await follow(ports, reader.held, attempt, outcome)
        case Broken():
            return await _broken(ports, reader, end)
        case _Stopped(lost):
            return None if lost else await _hand_back(ports, reader)


async def _taken_up(ports: Ports, attempt: Attempt, events: TakenUp) -> Events:
    """The stream's events; whether and how soon it could be taken up counts in the lane's health."""
    asked_at, noted = ports.clock.now(), False
    try:
        async for event in events:
            if not noted:
                ports.health.note(attempt.provider_account, attempt.lane, event, asked_at, ports.clock.now())
            noted = True
            if not isinstance(event, Opened):
                yield event
    finally:
        await events.aclose()


@dataclass(slots=True)
class _Reader:
    """One connection's reading: what is gathered and not committed yet, and how far the cursor is."""

    ports: Ports
    held: Held
    attempt: Attempt
    cursor: int | None
    renewed: int
    learned: bool = False
    # Events of a stream that cannot be taken up again are missing: its text is believed no further.
    missed: bool = False
    _text: list[str] = field(default_factory=list[str])
    _unknown: list[str] = field(default_factory=list[str])
    _size: int = 0
    _since: int = 0

    async def read(self, intake: Intake) -> Ended | Broken | _Stopped:
        """Read on until there is nothing more to read here."""
        # From here on a worker that is stopped was not stopped by this job.
        if not await self.commit(renew=True):
            return _Stopped(lost=True)
        while True:
            event = await intake.next(self._until())
            if isinstance(event, Ended | Broken):
                self._note(event)
                return event
            if event is None:
                over = self.ports.clock.now() >= self.held.job.useful_until
                if intake.must_end or over:
                    return _Stopped(lost=False)
                if self.attempt.interactive and not await self._is_ours():
                    return _Stopped(lost=True)
            else:
                place = place_of(self.cursor, event.seq)
                if place is Place.GAP and not self.attempt.interactive:
                    return Broken(Break.GAP, f"event {event.seq} came after {self.cursor}")
                self.missed = self.missed or place is Place.GAP
                if place is Place.OLD:
                    continue
                self._learn(event)
            if self._is_due(event) and not await self.commit(started=_starts(event)):
                return _Stopped(lost=True)

    def _until(self) -> int:
        """When something is to be done though no event comes."""
        gathered = [self._since + self.ports.timings.delta_wait] if self._text else []
        if self.attempt.interactive:
            # A person may say something, or stop it, and another process may have been told.
            gathered.append(self.ports.clock.now() + _SILENT_AT_MOST)
        return min(self._renewal(), self.held.job.useful_until, *gathered)

    async def _is_ours(self) -> bool:
        """Whether nobody has changed or claimed the job."""
        job = await self.ports.store.read(lambda tx: tx.job(self.held.job.id))
        mine = self.held.job
        return job is not None and (job.version, job.lease_no) == (mine.version, mine.lease_no)

    def _renewal(self) -> int:
        return self.renewed + self.ports.timings.lease // 3

    def _learn(self, event: StreamEvent) -> None:
        self.learned = True
        if isinstance(event, Text) and not self.missed:
            if not self._text:
                self._since = self.ports.clock.now()
            self._text.append(event.delta)
            self._size += len(event.delta.encode(errors="replace"))
        self._note(event)
        seq = None if isinstance(event, Broken) else event.seq
        self.cursor = self.cursor if seq is None else seq

    def _note(self, event: StreamEvent) -> None:
        new = [*event.unknown, *(new_status(event.status) if isinstance(event, Moved) else ())]
        fresh = [one for one in new if one not in self._unknown]
        self._unknown += fresh[: UNKNOWN_AT_MOST - len(self._unknown)]

    def _is_due(self, event: StreamEvent | None) -> bool:
        now = self.ports.clock.now()
        gathered = self._text and now >= self._since + self.ports.timings.delta_wait
        starts = _starts(event) and self.held.job.status is Status.QUEUED
        return bool(gathered or starts or self._size >= PIECE or now >= self._renewal())

    async def commit(self, *, renew: bool = False, started: bool = False) -> bool:
        """Write what was gathered and the cursor in one transaction; whether the job is still ours.

        Nothing is written for a job that was changed or claimed meanwhile: whoever has it reads it again.
        """
        now = self.ports.clock.now()
        renew = renew or now >= self._renewal()
        text = "".join(self._text)
        if not (text or renew or started or self._unknown):
            return True
        if self.held.job.status is Status.QUEUED and (text or started):
            return await self._start(deltas(text, now), now)
        kept = await self.ports.store.write(lambda tx: self._keep(tx, deltas(text, now), now, renew))
        if kept and renew:
            self.renewed = now
        return self._committed(kept)

    def _keep(self, tx: Transaction, told: Sequence[Event], now: int, renew: bool) -> bool:
        job = tx.job(self.held.job.id, lock=True)
        assert job is not None, self.held.job.id
        if job.lease_no != self.held.lease_no:
            return False
        if job.version != self.held.job.version:
            tx.wake(job.id, now)
            return False
        if told:
            tx.keep_events(job.id, told)
        if told or self._unknown:
            self._keep_cursor(tx)
        if renew:
            tx.listen(Due(job.id, job.lease_no), now + self.ports.timings.lease)
        return True

    def _keep_cursor(self, tx: Transaction) -> None:
        tx.keep_unknown(self.attempt.id, self._unknown)
        tx.move_attempt(self.attempt.id, [AttemptState.ACCEPTED], stream_seq=self.cursor, stream_tries=0)

    async def _start(self, told: Sequence[Event], now: int) -> bool:
        """The run was seen to work: so does the job."""

        def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
            after, event = lifecycle.apply(job, Command.START, now, phase=Phase.MODEL, actor="provider")
            self._keep_cursor(tx)
            tx.move_attempt(self.attempt.id, [AttemptState.ACCEPTED], provider_status="in_progress")
            return after, [event, *told]

        held = await conclude(self.ports, self.held, turn, hold=True)
        if held is not None:
            self.held = held
        return self._committed(held is not None)

    def _committed(self, kept: bool) -> bool:
        if kept:
            self._text.clear()
            self._unknown.clear()
            self._size = 0
            self.ports.point("delta")
        else:
            self.ports.notify()
        return kept


def _starts(event: StreamEvent | None) -> bool:
    if isinstance(event, Began):
        return event.accepted.status == "in_progress"
    return isinstance(event, Moved) and event.status == "in_progress"


async def _broken(ports: Ports, reader: _Reader, broken: Broken) -> Held | None:
    """Keep the cursor, and take the stream up again at once where that can bring more; else look at the run."""
    attempt = reader.attempt
    if not await reader.commit():
        return None
    tries = 0 if reader.learned else attempt.stream_tries + 1
    hopeless = broken.kind in (Break.REFUSED, Break.TOO_LARGE) or attempt.interactive
    hopeless = hopeless or (broken.kind is Break.GAP and not reader.learned)
    lost = hopeless or tries >= TRIES_IN_VAIN
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        changes = {"stream_seq": reader.cursor, "stream_tries": tries, "look_at": now}
        state = "lost" if lost else "open"
        tx.move_attempt(attempt.id, [AttemptState.ACCEPTED], stream_state=state, **changes)
        return job, ()

    held = await conclude(ports, reader.held, turn, hold=True)
    if lost:
        words = "" if reader.held.job.sensitive else f": {broken.message}"
        ports.log(f"job {reader.held.job.id}: its stream is given up ({broken.kind}){words}")
    if held is None or held.attempt is None:
        return held
    again = reader.learned and broken.kind in _TAKEN_UP_AGAIN and not lost
    return held if again or attempt.interactive else await look(ports, held, held.attempt)


async def _hand_back(ports: Ports, reader: _Reader) -> Held | None:
    """Somebody else reads on at the cursor, or the useful window is over and the job goes on without its text."""
    if not await reader.commit():
        return None
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        changes = {"stream_seq": reader.cursor, "look_at": now}
        tx.move_attempt(reader.attempt.id, [AttemptState.ACCEPTED], **changes)
        return replace(job, due_at=now), ()

    return await conclude(ports, reader.held, turn)

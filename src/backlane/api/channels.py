"""What followers of jobs share: one reading of a job's news for all who follow it, one look a second for all jobs.

Followers hold nothing: each takes from its channel as fast as its client reads, or from the database if it is
far behind.
"""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence
from typing import Any

from fastapi.sse import format_sse_event

from backlane.api.bell import Bell
from backlane.core.job import Job
from backlane.core.storage import Row
from backlane.errors import BacklaneError
from backlane.service.access import Caller, closed_event, side
from backlane.service.ports import Ports
from backlane.service.show import event_view, is_late, newest_seqs, read_news

# News of other processes is looked for this often, seconds.
LOOK_EVERY = 1.0
PAGE = 200
# A channel keeps this much of a job's newest events, characters.
_KEPT = 256_000
# Most followers wait at the same place; those who are behind are few, or each at a place of its own.
_ENDS_AT_MOST = 16


def written(event: dict[str, Any]) -> bytes:
    """One event as it is sent."""
    data = json.dumps(event, ensure_ascii=False)
    return format_sse_event(data_str=data, event=event["type"], id=str(event["seq"]))


class _Told:
    """One event, written at most once for each side of the release gate."""

    def __init__(self, row: Row, simulated: bool) -> None:
        self.seq: int = row["seq"]
        self.size = len(row["data"] or "") + 300
        self.is_late = is_late(row)
        self._row = row
        self._simulated = simulated
        self._sides: dict[bool, bytes] = {}

    def bytes_for(self, closed: bool) -> bytes:
        """The event as readers on this side see it."""
        if closed not in self._sides:
            self._sides[closed] = written(event_view(self._row, closed, simulated=self._simulated))
        return self._sides[closed]


class Channel:
    """The newest events of one job, for everybody who follows it. Before it is opened it knows none."""

    def __init__(self) -> None:
        self.bells: set[Bell] = set()
        self.is_stale = False
        self.is_read = False
        self.newest: int | None = None
        self._job: Job | None = None
        self._is_whole = False
        self._floor = 0
        self._told: deque[_Told] = deque()
        self._size = 0
        # What follows a number, written once for all who wait there on one side of the job as it stands.
        self._ends: dict[tuple[int, tuple[bool, bool]], tuple[bytes, int]] = {}

    @property
    def is_open(self) -> bool:
        """Whether news comes through it."""
        return self._job is not None

    def open(self, newest: int) -> None:
        """From here on it keeps what comes after this number."""
        self.newest = self._floor = newest

    def add(self, job: Job, rows: Sequence[Row]) -> None:
        """News as it was read, at most a page."""
        changed = self._job is None or job.finished_at != self._job.finished_at
        self._job, self._is_whole = job, len(rows) < PAGE
        for row in rows:
            told = _Told(row, job.simulated)
            self._told.append(told)
            self._size += told.size
            self.newest = told.seq
        while self._size > _KEPT and len(self._told) > 1:
            dropped = self._told.popleft()
            self._floor, self._size = dropped.seq, self._size - dropped.size
        self._ends.clear()
        if rows or changed:
            self.ring()

    def ring(self) -> None:
        """Have everybody who follows look."""
        for bell in self.bells:
            bell.ring()

    def is_over(self, seq: int) -> bool:
        """Whether the job has ended, and nothing comes after this number."""
        over = self._job is not None and self._job.finished_at is not None and self._is_whole
        return over and self.newest is not None and seq >= self.newest

    def after(self, seq: int, caller: Caller) -> tuple[bytes, int] | None:
        """What comes after a number, and the last number of it; None where it must be read from the database."""
        if self._job is None or self.newest is None or seq < self._floor:
            return None
        if seq >= self.newest:
            return b"", seq
        place = seq, side(caller, self._job)
        found = self._ends.get(place) or self._written(seq, self.newest, caller, self._job)
        if len(self._ends) < _ENDS_AT_MOST:
            self._ends[place] = found
        return found

    def _written(self, seq: int, newest: int, caller: Caller, job: Job) -> tuple[bytes, int]:
        # Nearly always the last few: found from their end.
        missing = min(len(self._told), newest - seq)
        found = [self._told[place] for place in range(len(self._told) - missing, len(self._told))][:PAGE]
        told = (one.bytes_for(closed_event(caller, job, one.seq, late=one.is_late)) for one in found)
        return b"".join(told), found[-1].seq


class Followers:
    """Wakes those who wait for a job, and keeps a channel for each job that is followed."""

    def __init__(self, ports: Ports, *, look_every: float = LOOK_EVERY) -> None:
        self._ports = ports
        self._look_every = look_every
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._channels: dict[str, Channel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking: asyncio.Task[None] | None = None
        self.is_closing = False

    def close(self) -> None:
        """This process stops: followers are let go in good order, and ask another one or the next."""
        self.is_closing = True
        for channel in self._channels.values():
            channel.ring()

    def tell(self, job_ids: Iterable[str]) -> None:
        """These jobs have new events."""
        for job_id in job_ids:
            for woken in self._waiting.get(job_id, ()):
                woken.set()
            if job_id in self._channels:
                self._refresh(job_id)

    @contextlib.contextmanager
    def following(self, job_id: str) -> Generator[asyncio.Event]:
        """An event that is set whenever the job has news, for as long as the block runs."""
        woken = asyncio.Event()
        self._waiting.setdefault(job_id, set()).add(woken)
        try:
            yield woken
        finally:
            waiting = self._waiting[job_id]
            waiting.discard(woken)
            if not waiting:
                del self._waiting[job_id]

    @contextlib.contextmanager
    def channel(self, job_id: str) -> Generator[tuple[Channel, Bell]]:
        """The job's channel, and a bell that is rung at its news, for as long as the block runs."""
        channel = self._channels.get(job_id)
        if channel is None:
            channel = self._channels[job_id] = Channel()
            self._refresh(job_id)
            if self._looking is None or self._looking.done():
                self._looking = asyncio.create_task(self._look())
        bell = Bell()
        channel.bells.add(bell)
        try:
            yield channel, bell
        finally:
            bell.put_away()
            channel.bells.discard(bell)
            if not channel.bells:
                del self._channels[job_id]

    def _refresh(self, job_id: str) -> None:
        """Read a channel's news; what is told meanwhile is read by the same task."""
        channel = self._channels[job_id]
        channel.is_stale = True
        if not channel.is_read:
            channel.is_read = True
            task = asyncio.create_task(self._quietly(lambda: self._read(job_id, channel)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _read(self, job_id: str, channel: Channel) -> None:
        try:
            while channel.is_stale:
                # Whatever is told from here on is not surely in what is read now.
                channel.is_stale = False
                if channel.newest is None:
                    channel.open((await newest_seqs(self._ports, [job_id])).get(job_id, 0))
                job, rows = await read_news(self._ports, job_id, channel.newest or 0, PAGE)
                channel.add(job, rows)
                channel.is_stale = channel.is_stale or len(rows) == PAGE
        finally:
            channel.is_read = False

    async def _look(self) -> None:
        """What other processes committed: one question a second for all jobs that are followed here."""
        while self._channels:
            await asyncio.sleep(self._look_every)
            await self._quietly(self._ask)

    async def _ask(self) -> None:
        newest = await newest_seqs(self._ports, list(self._channels))
        for job_id, seq in newest.items():
            channel = self._channels.get(job_id)
            if channel is not None and (channel.newest is None or seq > channel.newest):
                self._refresh(job_id)

    async def _quietly(self, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
        except BacklaneError as error:
            self._ports.log(f"followers wait: {error}")

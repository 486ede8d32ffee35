"""A built service that runs: its worker's lock, its pump, and how it lets go of everything at a stop."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from backlane.engine.embedded import Embedded
from backlane.engine.hints import HintLoop
from backlane.engine.pump import Pump
from backlane.errors import BacklaneError
from backlane.provider.openai import OpenAIProvider
from backlane.service.carry import Carrier
from backlane.service.forget_files import forget_files
from backlane.service.note_policies import note_policies
from backlane.service.placing import end_retired
from backlane.service.ports import Ports
from backlane.settings import Settings
from backlane.store.dialects import sqlite_path
from backlane.store.lock import WorkerLock
from backlane.store.transaction import SqlStore

# Between looks at what belongs to no job, milliseconds.
_TIDY_EVERY = 2_000


@dataclass(slots=True)
class ThisWorker:
    """Who this process is. With an exclusive store, every other sender is known to be dead."""

    boot_id: str = field(default_factory=lambda: f"boot_{secrets.token_hex(8)}")
    exclusive: bool = False

    def is_gone(self, sender: str | None) -> bool:
        """Whether that sender can no longer bring a reply."""
        return self.exclusive and sender != self.boot_id


@dataclass(slots=True, kw_only=True)
class Service:
    """A built service: the ports, the database, the secret, and the worker once it is started."""

    settings: Settings
    ports: Ports
    store: SqlStore
    secret: bytes
    provider: OpenAIProvider
    worker: ThisWorker
    carrier: Carrier
    pump: Pump
    engine: Embedded
    hints: HintLoop
    _lock: WorkerLock | None = None
    _pumping: asyncio.Task[None] | None = None
    _hinting: asyncio.Task[None] | None = None
    _tidying: asyncio.Task[None] | None = None
    _prepared: bool = False
    _noted: set[str] = field(default_factory=set[str])

    async def start_worker(self, ended: Callable[[], None] | None = None) -> None:
        """Take the worker's lock, end dead workers' leases, and pump; `ended` is called when the pump ends.

        Raises StoreLocked or StoreDamaged.
        """
        self.lock_worker()
        if self.worker.exclusive:
            await self.carrier.take_over()
            await self.hints.inbox.take_over()
        await self.note_policies()
        self._hinting = asyncio.create_task(self.hints.run())
        self._pumping = asyncio.create_task(self._work())
        self._tidying = asyncio.create_task(self._tidy())
        if ended is not None:
            self._pumping.add_done_callback(lambda _: ended())

    async def note_policies(self) -> None:
        """Say in the audit log which policies are loaded, where others were; what fails is tried again later."""
        try:
            await note_policies(self.ports, self._noted)
        except BacklaneError as error:
            self.ports.log(f"the loaded policies are noted later: {error}")

    async def _work(self) -> None:
        while not self._prepared and not self.pump.stopping:
            try:
                await asyncio.to_thread(self.provider.prepare)
                self._prepared = True
            except OSError as error:
                self.ports.log(f"the worker waits: {error.strerror}")
                await self.ports.clock.sleep(1000)
        await self.pump.run()

    async def _tidy(self) -> None:
        """Work that belongs to no job: what fails is tried again at the next turn."""
        while not self.pump.stopping:
            try:
                await forget_files(self.ports)
            except (BacklaneError, OSError) as error:
                self.ports.log(f"files at the provider are deleted later: {error}")
            try:
                await end_retired(self.ports)
            except BacklaneError as error:
                self.ports.log(f"alerts of retired accounts are looked at later: {error}")
            # A workspace that was made meanwhile has its lines too.
            await self.note_policies()
            await self.ports.clock.sleep(_TIDY_EVERY)

    def worker_failure(self) -> BaseException | None:
        """What stopped the worker, if it did not stop because it was told to."""
        over = self._pumping is not None and self._pumping.done() and not self._pumping.cancelled()
        return self._pumping.exception() if over and self._pumping else None

    def lock_worker(self) -> None:
        """Take the lock that keeps a second worker off a SQLite file, and look the file over for damage.

        Raises StoreLocked or StoreDamaged.
        """
        path = sqlite_path(self.store.database.url)
        if path is not None and self._lock is None:
            self._lock = WorkerLock.take(path)
            self.store.database.require_whole()
            self.worker.exclusive = True

    async def _stop_tidying(self) -> None:
        """A delete that is cut off is asked for again at the next start."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)

    def let_go(self) -> None:
        """Claim no more, and hand live streams to whoever works next; what else is under way goes on."""
        self.pump.stop()
        self.ports.streams.drain()
        self.hints.stop()

    async def drain(self, grace: float = 30.0) -> None:
        """Claim no more, await what is under way, hand the rest back, let go of everything.

        Interactive streams are awaited first, up to `grace` seconds: letting go of one loses its run.
        """
        self.let_go()
        if self._pumping is not None:
            await asyncio.gather(self._pumping, return_exceptions=True)
            await self.ports.streams.stayed(grace)
            await self._stop_tidying()
            await self.engine.close(grace)
            await self.ports.calls.let_go()
            await _ended(self._hinting, grace)
            await self.carrier.give_back()
        await self.provider.close()
        self.store.database.close()
        if self._lock is not None:
            self._lock.release()


async def _ended(task: asyncio.Task[None] | None, grace: float) -> None:
    """Wait for a task up to `grace` seconds, then stop it: what it was at comes again."""
    if task is not None:
        await asyncio.wait([task], timeout=grace)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

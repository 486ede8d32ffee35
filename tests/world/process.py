"""A simulated process: the real services over its own connections. A crash drops all of its memory."""

import asyncio
import contextvars
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from backlane.core.outcome import Accepted, CreateOutcome
from backlane.core.ports import CreateCall, Due
from backlane.core.schedule import Timings
from backlane.core.storage import Transaction
from backlane.core.stream import Streaming
from backlane.engine.embedded import Embedded
from backlane.engine.hints import HintLoop
from backlane.engine.pump import Pump
from backlane.errors import BacklaneError, StoreBusy
from backlane.outbound.folder import ArtifactFolder, HalfFile
from backlane.provider.accounts import AccountBook
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from backlane.provider.prices import price
from backlane.service.carry import Carrier
from backlane.service.forget_files import forget_files
from backlane.service.hints import Inbox
from backlane.service.open_streams import OpenStreams
from backlane.service.ports import Ports
from backlane.store.database import Database
from backlane.store.transaction import SqlStore
from backlane.wiring import ThisWorker
from tests.signing import OTHER, SECRET
from tests.world.outside import HERE, acting
from tests.world.provider import Wire
from tests.world.release import RELEASES
from tests.world.streaming import Conversation

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

T = TypeVar("T")
# The provider accounts; where there are two, the second is the workspace other's.
ACCOUNTS = (("default", "sk-simulated-0123456789"), ("spare", "sk-simulated-9876543210"))
_SELDOM = 20_000  # between looks at what nobody told of, milliseconds


class ProcessDied(Exception):
    """The process that was asked is gone; nobody knows how far it came."""


class _Clock:
    """The machine's clock, which may jump; sleeping is measured by the world's time."""

    def __init__(self, process: "Process") -> None:
        self._process = process

    def now(self) -> int:
        return self._process.world.machine_now()

    async def sleep(self, milliseconds: int) -> None:
        await asyncio.sleep(milliseconds / 1000)
        await self._process.turn("slept")


class _Store(SqlStore):
    """Every transaction is a turn before, and a turn between COMMIT and the answer."""

    def __init__(self, database: Database, ids: Any, process: "Process") -> None:
        super().__init__(database, ids)
        self._process = process

    async def write(self, body: Callable[[Transaction], T]) -> T:
        process = self._process
        await process.turn("write")
        if process.chance.random() < process.world.weather_now("store_busy"):
            raise StoreBusy("the database did not answer in time: database is locked")
        result = await super().write(body)
        process.world.committed(self.database)
        await process.turn("written")
        return result

    async def read(self, body: Callable[[Transaction], T]) -> T:
        await self._process.turn("read")
        return await super().read(body)


class _Artifacts(ArtifactFolder):
    def __init__(self, root: Path, process: "Process") -> None:
        super().__init__(root)
        self._process = process

    async def put(self, content: bytes) -> str:
        await self._process.turn("put")
        return await super().put(content)

    async def get(self, sha256: str) -> bytes:
        await self._process.turn("get")
        return await super().get(sha256)

    async def draft(self) -> HalfFile:
        await self._process.turn("draft")
        return await super().draft()

    async def open(self, sha256: str) -> BinaryIO:
        await self._process.turn("open")
        return await super().open(sha256)


class _Provider(OpenAIProvider):
    """The adapter, with a note of every purchase this process came to know of."""

    process: "Process"

    async def create(self, call: CreateCall) -> CreateOutcome:
        outcome = await super().create(call)
        if isinstance(outcome, Accepted):
            self._learned(call, outcome)
        return outcome

    async def open_stream(self, call: CreateCall) -> CreateOutcome | Streaming:
        outcome = await super().open_stream(call)
        if isinstance(outcome, Accepted | Streaming):
            self._learned(call, outcome.accepted if isinstance(outcome, Streaming) else outcome)
        return outcome

    def _learned(self, call: CreateCall, accepted: Accepted) -> None:
        if self.process.alive:
            self.process.learned[call.attempt_id] = accepted.response_id
            self._late_hand()

    def _late_hand(self) -> None:
        """The machine may stop between an answer's arrival and the hand that writes it down."""
        process = self.process
        if process.hand.random() < process.world.weather_now("late_hand"):
            process.stopped_until = process.world.loop.time() + process.hand.uniform(60, 400)


class _Engine(Embedded):
    """Loses, doubles and delays batches."""

    process: "Process"

    async def dispatch(self, batch: Sequence[Due], drop_after: float) -> None:
        process = self.process
        world = process.world
        if process.chance.random() < world.weather_now("batch_lost"):
            return
        if process.chance.random() < world.weather_now("batch_late"):
            await asyncio.sleep(process.chance.uniform(1, 200))
        await super().dispatch(batch, drop_after)
        if process.chance.random() < world.weather_now("batch_doubled"):
            await super().dispatch(list(reversed(batch)), drop_after)


class Process:
    """One API process, with or without a worker, built anew after each crash."""

    def __init__(self, world: "SimulatedWorld", name: str, *, worker: bool) -> None:
        self.world = world
        self.name = name
        self.alive = True
        self.stopped_until = 0.0
        self.standing = 0
        self.chance = random.Random(f"{world.seed}:{name}")
        self.hand = random.Random(f"{world.seed}:{name}:hand")
        self.learned: dict[str, str] = {}
        self.worker = worker
        self.release = world.release
        # In order: a set would wake the callers of a dead process differently each time.
        self._calls: dict[asyncio.Future[Any], None] = {}
        self._streams: dict[Conversation, None] = {}
        self.database = Database(f"sqlite:///{world.folder}/backlane.db", inline=True)
        world.connected(self.database)
        self.provider = self._provider()
        self.door = self.provider.door()
        self.ports = self._ports()
        self.pump: Pump | None = None
        self.hints: HintLoop | None = None
        if worker:
            self._work()

    def _work(self) -> None:
        """A worker: its pump, and what is done beside it where that is needed."""
        ports, doors = self.ports, self.world.weather.doors
        engine = _Engine(self._woken)
        engine.process = self
        self.pump = Pump(Carrier(ports), engine, ports.clock, slots=16, log=ports.log, idle_at_most=_SELDOM)
        self._begin(self.pump.run())
        if "hooks" in doors:
            self.hints = HintLoop(Inbox(ports), ports.clock, log=ports.log, idle_at_most=_SELDOM)
            self._begin(self.hints.run())
        if {"files", "changes"} & set(doors):
            self._begin(self._tidy())

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Work without an end: if it ends in a living process, something broke it."""

        def ended(task: "asyncio.Task[None]") -> None:
            if self.alive and not task.cancelled() and not self.world.loop.ending:
                self.world.violation("I22", f"{self.name} stopped working: {task.exception()!r}")

        # The job types' code acts from within this process.
        here = contextvars.copy_context()
        here.run(HERE.set, self)
        self.world.loop.create_task(work, context=here).add_done_callback(ended)

    async def _tidy(self) -> None:
        """Copies at the provider that no job needs are deleted, as by any worker."""
        while True:
            try:
                await forget_files(self.ports)
            except (BacklaneError, OSError) as error:
                self.ports.log(f"files at the provider are deleted later: {error}")
            await self.ports.clock.sleep(_SELDOM)

    def _provider(self) -> _Provider:
        world = self.world
        pace = Pace(world.machine_now, self.chance.random)
        given = ACCOUNTS if world.weather.own_accounts else ACCOUNTS[:1]
        secrets = (OTHER, SECRET)
        self.accounts = AccountBook(
            {
                name: Account(key, "http://simulator/v1", simulated=True, webhook_secrets=secrets)
                for name, key in given
            },
            {"other": given[-1][0]},
        )
        provider = _Provider(
            self.accounts.accounts,
            now=world.machine_now,
            pace=pace,
            transport=Wire(self, world.provider),
        )
        provider.process = self
        return provider

    def _ports(self) -> Ports:
        world = self.world
        return Ports(
            store=_Store(self.database, world.ids, self),
            artifacts=_Artifacts(world.artifacts, self),
            provider=self.provider,
            types=RELEASES[self.release],
            clock=_Clock(self),
            ids=world.ids,
            chance=self.chance.random,
            price=price,
            worker=ThisWorker(boot_id=f"boot_{self.name}"),
            accounts=self.accounts,
            file_inline_at_most=200,
            files_inline_at_most=300,
            timings=Timings(delta_wait=world.weather.gathering),
            streams=OpenStreams(8),
            notify=self._woken,
            noticed=self._noticed,
            log=lambda line: world.loop.note(f"{self.name}: {line}"),
        )

    def _woken(self) -> None:
        """Wake-ups are hints: some are lost, some come twice."""
        if self.pump is None or not self.alive:
            return
        if self.chance.random() < self.world.weather_now("wake_lost"):
            return
        self.pump.wake()
        if self.chance.random() < self.world.weather_now("wake_doubled"):
            self.world.loop.call_later(self.chance.uniform(0, 5), self.pump.wake)

    def _noticed(self) -> None:
        """The same for events of the provider that nobody knew what to do with."""
        if (
            self.hints is not None
            and self.alive
            and self.hand.random() >= self.world.weather_now("wake_lost")
        ):
            self.hints.wake()

    async def turn(self, what: str) -> None:
        """A port call: a place where others may come first, or where this process ends."""
        world = self.world
        if self.alive and self.chance.random() < world.weather_now("stall"):
            await asyncio.sleep(self.chance.uniform(0.1, 240))
        stood = self.alive and world.loop.time() < self.stopped_until
        self.standing += stood
        try:
            while self.alive and world.loop.time() < self.stopped_until:
                # In steps: the end of the storm ends every stop.
                await asyncio.sleep(min(5.0, self.stopped_until - world.loop.time()))
            await world.loop.turn(f"{self.name} {what}")
        finally:
            self.standing -= stood
        if not self.alive:
            await world.loop.grave()

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Ask this process for something. Raises ProcessDied if it dies before it answers."""
        if not self.alive:
            work.close()
            raise ProcessDied
        answer: asyncio.Future[T] = self.world.loop.create_future()
        self._calls[answer] = None
        task = self.world.loop.create_task(work)
        task.add_done_callback(lambda done: self._answered(done, answer))
        return await answer

    def _answered(self, task: "asyncio.Task[T]", answer: "asyncio.Future[T]") -> None:
        self._calls.pop(answer, None)
        if answer.done() or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(task.result())

    def listens(self, conversation: Conversation) -> None:
        """A stream of the provider is open on this process's connection."""
        self._streams[conversation] = None

    def hung_up(self, conversation: Conversation) -> None:
        """The stream's connection is closed."""
        self._streams.pop(conversation, None)

    def crash(self) -> None:
        """End at once: nothing of this process runs on, what it had in memory is gone."""
        self.alive = False
        self.world.counts["crash in dispatch"] += acting(self.world, f"boot_{self.name}")
        self.world.forget(self)
        for answer in list(self._calls):
            if not answer.done():
                answer.set_exception(ProcessDied())
        self._calls.clear()
        for conversation in list(self._streams):
            conversation.leave()
        self._streams.clear()
        self.database.close()

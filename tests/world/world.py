"""The simulated world: it is built from a seed, lives through its storm, comes to rest, and is judged."""

import asyncio
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import event, select

from backlane.outbound.folder import ArtifactFolder
from backlane.service.access import Caller
from backlane.store.database import Database
from backlane.store.tables import attempts, jobs
from backlane.store.tables_wire import inbox
from backlane.verify.collect import collect
from backlane.verify.evidence import Report
from backlane.verify.invariants import check
from tests.migrated import MEMORY, sqlite_file
from tests.world.begin import callers
from tests.world.courier import Courier
from tests.world.demon import Demon
from tests.world.gather import gather
from tests.world.oracle import judged, unneeded_files
from tests.world.outside import TheOutside
from tests.world.process import Process
from tests.world.provider import START, SimulatedProvider
from tests.world.release import finish
from tests.world.turns import Stuck, Turns
from tests.world.weather import Weather, draw
from tests.world.witness import Witness

_SETTLE_WITHIN = 30 * 3600.0
_COMMITS_AT_MOST = 30_000  # far above any honest run: more is somebody turning in circles


class CountingIds:
    """Ids in the order they were made, the same each time."""

    def __init__(self) -> None:
        self._made = 0

    def new(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made:026d}"


@dataclass(slots=True)
class Outcome:
    """What became of one seed."""

    seed: int
    violations: list[tuple[str, str]]
    trace: str
    hours: float
    steps: int
    counts: Counter[str] = field(default_factory=Counter[str])
    door: str | None = None


class SimulatedWorld:
    """Processes, people, a provider and a demon, on one disk."""

    def __init__(self, seed: int, weather: Weather, root: Path, *, unsafe_sync: bool = False) -> None:
        self.seed = seed
        self.weather = weather
        self.loop = Turns(str(seed))
        self.ids = CountingIds()
        self.release = 0
        self.provider = SimulatedProvider(self.loop, seed, weather)
        self.storming = True
        self.settled = False
        self.submits: list[dict[str, Any]] = []
        self.watches: list[list[int]] = []
        self.canaries: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.processes: dict[str, Process] = {}
        self.outage_until = 0.0
        self._offset = 0
        self._found: list[tuple[str, str]] = []
        self._root = root
        self._unsafe_sync = unsafe_sync
        self._starts = 0
        self._images = 0
        self._synced = 0
        self._people: list[asyncio.Task[None]] = []
        self.folder = root / "disk-0"
        self.artifacts = root / "artifacts"
        self.callers = self._begin()
        self.witness = Witness(self)
        self.outside = TheOutside(self)
        self.demon = Demon(self, random.Random(f"{seed}:demon"))
        self.courier = Courier(self)
        self.provider.world.deliver = self.courier.deliver

    # what the others ask of the world

    def machine_now(self) -> int:
        """Milliseconds since 1970 by the machine's clock, which may have jumped."""
        return START + round(self.loop.time() * 1000) + self._offset

    def weather_now(self, name: str) -> float:
        """A rate, while the storm lasts."""
        return getattr(self.weather, name) if self.storming else 0.0

    def refusing(self) -> float:
        """The chance that a connection to the provider is refused."""
        if self.storming and self.loop.time() < self.outage_until:
            return 1.0
        return self.weather_now("refused")

    def violation(self, name: str, what: str) -> None:
        """Something that must never be seen was seen."""
        self._found.append((name, what))

    def somebody(self, chance: random.Random) -> Process | None:
        """A process that answers, if there is one."""
        alive = [process for process in self.processes.values() if process.alive]
        return chance.choice(alive) if alive else None

    def connected(self, database: Database) -> None:
        """A process opened the database: nothing may reach the file but through its log."""

        def steady(connection: Any, _: Any) -> None:
            connection.execute("PRAGMA wal_autocheckpoint=0")
            if self._unsafe_sync:
                connection.execute("PRAGMA synchronous=NORMAL")

        for engine in (database._writer, database._reader):  # pyright: ignore[reportPrivateUsage]
            event.listen(engine, "connect", steady)

    def committed(self, database: Database) -> None:
        """Where the log is known to be on the platter, by the setting that is really in force."""
        with database.connection() as connection:
            sync = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        self.counts["commits"] += 1
        if sync is not None and sync >= 2:
            self._synced = self._log_size()

    def forget(self, process: Process) -> None:
        """A process died: what it had just learned and not yet written down is excused."""
        if not process.learned:
            return
        kept = self.kept_ids()
        for attempt, response in process.learned.items():
            if kept.get(attempt) == response:
                self._must_keep[attempt] = response
        process.learned.clear()

    def _begin(self) -> list[Caller]:
        """An empty database with two workspaces; who has a key to them."""
        self._must_keep: dict[str, str] = {}
        self.folder.mkdir(parents=True)
        self.artifacts.mkdir()
        shutil.copy(sqlite_file(), self.folder / "backlane.db")
        self._open_looker()
        return callers(self.look, self.ids)

    def _open_looker(self) -> None:
        database = Database(f"sqlite:///{self.folder}/backlane.db", inline=True)
        self.connected(database)
        self.look = database
        self._looker = database._reader  # pyright: ignore[reportPrivateUsage]

    def _log_size(self) -> int:
        log = self.folder / "backlane.db-wal"
        return log.stat().st_size if log.exists() else 0

    def kept_ids(self) -> dict[str, str | None]:
        """The provider's id of each attempt, as stored."""
        with self._looker.connect() as connection:
            rows = connection.execute(select(attempts.c.id, attempts.c.provider_response_id)).all()
        return {row[0]: row[1] for row in rows}

    def start(self, name: str, *, worker: bool) -> None:
        """Start a process, or start it again."""
        self._starts += 1
        self.processes[name] = Process(self, f"{name}.{self._starts}", worker=worker)

    async def live(self) -> None:
        """The storm, the calm, and rest."""
        weather, loop = self.weather, self.loop
        for number in range(weather.workers):
            self.start(f"worker-{number}", worker=True)
        for number in range(weather.faces):
            self.start(f"face-{number}", worker=False)
        self.provider.blow(weather.wire)
        gather(self)
        demon = loop.create_task(self.demon.live())
        await asyncio.sleep(weather.storm)
        self.storming = False
        await demon
        self.provider.calm()
        for name, process in list(self.processes.items()):
            process.stopped_until = 0.0
            if not process.alive:
                self.start(name, worker=process.worker)
        finish(self)
        await self._rest()
        self.settled = True

    def begin(self, *works: Coroutine[Any, Any, None]) -> None:
        """Somebody begins to live here."""
        self._people += [self.loop.create_task(work) for work in works]

    async def _rest(self) -> None:
        """With the faults stopped, everything comes to an end, a person, or a declared wait."""
        until = self.loop.time() + _SETTLE_WITHIN
        while self.loop.time() < until:
            await asyncio.sleep(30)
            if not self._unrest():
                return
        self.violation("I22", f"did not come to rest: {self._unrest()[:3]}")

    def _unrest(self) -> list[str]:
        with self._looker.connect() as connection:
            rows = connection.execute(
                select(jobs.c.id, jobs.c.status, jobs.c.phase, jobs.c.due_at).where(
                    jobs.c.status.in_(("queued", "running"))
                    | jobs.c.phase.in_(("submission_unknown", "effect_unknown"))
                )
            ).all()
            out = connection.execute(
                select(attempts.c.id, attempts.c.state, jobs.c.status)
                .join(jobs, jobs.c.id == attempts.c.job_id)
                .where(attempts.c.state.in_(("sending", "accepted")))
            ).all()
            told = connection.execute(
                select(inbox.c.webhook_id, inbox.c.note).where(inbox.c.state.in_(("new", "parked")))
            ).all()
            files = unneeded_files(connection)
        # Whoever stands still may hold a fact that nobody else knows.
        still = [one.name for one in self.processes.values() if one.alive and one.standing]
        return [
            *(f"{row[0]} {row[1]}/{row[2]} due {row[3]}" for row in rows),
            *(f"{row[0]} {row[1]} of a {row[2]} job" for row in out),
            *(f"event {row[0]} waits: {row[1]}" for row in told),
            *files,
            *(f"{name} stands still" for name in still),
        ]

    # what the demon does

    def jump(self, milliseconds: int) -> None:
        """The machine's clock is set."""
        self._offset += milliseconds

    def cut_power(self, chance: random.Random) -> None:
        """Every process ends, and what was not on the platter is gone or torn."""
        self._images += 1
        image = self._root / f"disk-{self._images}"
        image.mkdir()
        shutil.copy(self.folder / "backlane.db", image / "backlane.db")
        log = self.folder / "backlane.db-wal"
        if log.exists():
            whole = log.read_bytes()
            kept = chance.randint(min(self._synced, len(whole)), len(whole))
            torn = chance.randbytes(chance.randint(0, 5000))
            (image / "backlane.db-wal").write_bytes(whole[:kept] + torn)
            self._synced = kept
        for process in self.processes.values():
            if process.alive:
                process.crash()
        self.look.close()
        self.folder = image
        self._open_looker()
        # Facts that were kept before must have survived.
        kept_ids = self.kept_ids()
        for attempt, response in self._must_keep.items():
            if kept_ids.get(attempt) != response:
                self.violation(
                    "I04", f"{attempt}'s provider id was committed and did not survive a power cut"
                )

    # its judgement

    def judge(self) -> Report:
        """The shipped checker over all that was stored and seen, and what only the world can know."""
        for process in self.processes.values():
            self.forget_nothing(process)
        log = self.witness.log()
        for line in log:
            line["at"] = float("inf")  # the machine's clock jumps; the world itself saw each create arrive
        folder = ArtifactFolder(self.artifacts)
        report = check(
            collect(
                self.look,
                folder.read,
                provider_log=log,
                world_log=self.outside.log,
                submits=self.submits,
                watches=self.watches,
                now=self.machine_now(),
            )
        )
        # Where a create was doubled on its way and an event told of the other run first, its own is a second purchase.
        kept = set(self.kept_ids().values())
        for attempt, response in self._must_keep.items():
            if response not in kept:
                self.violation("I21", f"{attempt}: the provider id {response} was learned and not kept")
        if self.counts["commits"] > _COMMITS_AT_MOST:
            self.violation("I22", f"{self.counts['commits']} commits: somebody turns in circles")
        report.violations += [*judged(self), *self._found]
        return report

    def forget_nothing(self, process: Process) -> None:
        """A process that lives has no excuse for a fact that it learned."""
        if process.alive:
            self._must_keep.update(process.learned)

    def end(self) -> None:
        """Let go of everything."""
        for process in self.processes.values():
            if process.alive:
                process.alive = False
                process.database.close()
        self.loop.close()
        self.look.close()
        # The web framework remembers the functions of every app; what the simulator's hold must not stay with them.
        vars(self.provider.world).clear()


def run(seed: int, *, door: str | None = None, unsafe_sync: bool = False) -> Outcome:
    """Live through one seed; with a door, most work goes through it. The same seed gives the same trace."""
    root = Path(tempfile.mkdtemp(prefix="backlane-seed-", dir=MEMORY))
    world = SimulatedWorld(seed, draw(seed, door), root, unsafe_sync=unsafe_sync)
    try:
        asyncio.set_event_loop(world.loop)
        try:
            world.loop.run_until_complete(world.live())
        except Stuck as error:
            world.violation("I22", str(error))
        report = world.judge()
        for line in world.provider.world.log:
            world.loop.note(f"{line['call']} {line['response_id']} {line['outcome']} {line['fault']}")
        faults = Counter(line["fault"] for line in world.provider.world.log if line["fault"])
        world.counts.update({f"fault {name}": count for name, count in faults.items()})
        world.counts["jobs"] = len(world.canaries)
        hours, trace = world.loop.time() / 3600, world.loop.trace
        return Outcome(seed, report.violations, trace, hours, world.loop.steps, world.counts, door)
    finally:
        world.end()
        asyncio.set_event_loop(None)
        shutil.rmtree(root, ignore_errors=True)

"""Who changes things under way: requesters who mind what they began, and whoever holds a lane for a while."""

import asyncio
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from backlane.errors import BacklaneError
from backlane.service import control, lanes, show
from backlane.service.access import Caller
from backlane.service.budgets import set_budget
from backlane.service.mark_sensitive import mark_sensitive
from backlane.service.read import read_job
from backlane.store.tables import events, jobs
from tests.world.kinds import KINDS
from tests.world.kinds_acting import CANARY
from tests.world.kinds_changing import CLOSED
from tests.world.people import Requester
from tests.world.process import Process, ProcessDied
from tests.world.visitors import TEXTS, Visitor

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

# A run costs about half of the first.
_LIMITS = ("0.0001", "0.0003", "0.001", "0.1", None)
# The smallest picture there is: one grey point.
_PICTURE = (
    "point.png",
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
        "0000000a49444154789c636800000082008177cd72b60000000049454e44ae426082"
    ),
)


@dataclass(slots=True)
class Worrier(Visitor):
    """Somebody who finds out that a job is sensitive while it writes, and takes up unfinished answers."""

    async def body(self, process: Process) -> dict[str, Any]:
        """What is asked for next."""
        kind, text = self.chance.choice(KINDS["changes"]), self.chance.choice(TEXTS)
        more = {"picture": await self.bring(process, _PICTURE)} if kind == "pictured" else {}
        return {"type": kind, "inputs": {"text": text, **more}}

    async def _look_after(self, process: Process) -> None:
        draw = self.chance.random()
        if not self.jobs or draw > 0.8:
            await Requester._look_after(self, process)
        elif draw < 0.15:
            self.world.counts["marked"] += 1
            await process.ask(
                mark_sensitive(process.ports, self.caller, self.chance.choice(self.jobs[-3:]), "a name")
            )
        elif draw < 0.3:
            await self._take_up(process)
        else:
            job_id = self.chance.choice(self.jobs[-3:])
            for _ in range(4):
                await self._spy(process, job_id)
                await asyncio.sleep(self.chance.uniform(1, 8))

    async def _take_up(self, process: Process) -> None:
        """Go on from an answer that was not finished, or begin anew where none was kept."""
        old = self.chance.choice(self.jobs)
        for start in ("partial", "start"):
            try:
                job, _ = await process.ask(control.retry(process.ports, self.caller, old, start=start))
            except BacklaneError:
                continue
            self.world.counts[f"retried from {start}"] += 1
            self.world.canaries[job.id] = self.caller.workspace
            if job.id not in self.jobs:
                self.jobs.append(job.id)
            return

    async def _spy(self, process: Process, job_id: str) -> None:
        """Of a job that was marked before one looks, nothing is told that was not told before the mark."""
        closed_from = self._closed_from(job_id)
        view = await process.ask(read_job(process.ports, self.caller, job_id))
        page, _ = await process.ask(show.read_events(process.ports, self.caller, job_id, 0, 200))
        if closed_from is None or self._closed_from(job_id) is None:
            return
        self.world.counts["looked behind a mark"] += 1
        told = [view, *(event for event in page if event["seq"] >= closed_from)]
        if CANARY in json.dumps(told, default=str):
            self.world.violation("I23", f"{self.caller.name} was shown what {job_id} wrote after its mark")

    def _closed_from(self, job_id: str) -> int | None:
        """From which event on the job is closed to its requester; None while it is open."""
        asked = select(jobs.c.gate, jobs.c.status, jobs.c.released, jobs.c.type).where(jobs.c.id == job_id)
        marked = select(events.c.seq).where(events.c.job_id == job_id, events.c.type == "job.tightened")
        with self.world.look.connection() as connection:
            gate, status, released, kind = connection.execute(asked).one()
            first = connection.execute(marked.order_by(events.c.seq)).scalar()
        completed = status == "completed"
        opened = (gate == "none" and (completed or kind not in CLOSED)) or (
            completed and released is not None
        )
        return None if opened else first or 0


@dataclass(slots=True)
class Warden:
    """An operator who holds the lane for a while; in the calm it is released."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random

    async def live(self) -> None:
        """Until all is settled."""
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(10, 120))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            holds = self.world.storming and self.chance.random() < 0.4
            turn = lanes.hold if holds else lanes.release
            self.world.counts["held"] += holds
            try:
                await process.ask(turn(process.ports, self.caller, "background", None, "so"))
            except (ProcessDied, BacklaneError):
                continue


@dataclass(slots=True)
class Treasurer:
    """An admin who caps what the workspace spends, now at very little, now at more; in the calm nothing is capped."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random

    async def live(self) -> None:
        """Until all is settled."""
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(10, 150))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            limit = self.chance.choice(_LIMITS) if self.world.storming else None
            scope, name = self.chance.choice([("workspace", None), ("type", "open-letter")])
            money = {"period": self.chance.choice(["day", "total"]), "limit": limit, "assume": "0.0001"}
            self.world.counts["capped"] += limit is not None
            try:
                await process.ask(set_budget(process.ports, self.caller, scope, name, **money))
            except (ProcessDied, BacklaneError):
                continue

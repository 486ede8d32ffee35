"""Whoever looks after jobs in the simulated world: escalates, archives, holds, notes, and opens and closes cases."""

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backlane.errors import BacklaneError
from backlane.service import bulk
from backlane.service.access import Caller
from backlane.service.annotate import annotate
from backlane.service.change_case import CaseChange, change_case
from backlane.service.escalate import escalate
from backlane.service.mark import archive, hold, unarchive, unhold
from backlane.service.open_case import open_case
from backlane.service.read import read_job
from tests.world.process import Process, ProcessDied

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_MARKS = (archive, unarchive, hold, unhold)


@dataclass(slots=True)
class Caretaker:
    """Somebody who has a hand in many jobs while others work on them."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random

    async def live(self) -> None:
        """Do one thing now and then, until the storm is over."""
        while self.world.storming:
            await asyncio.sleep(self.chance.uniform(5, 60))
            process = self.world.somebody(self.chance)
            mine = [job for job, place in self.world.canaries.items() if place == self.caller.workspace]
            if process is None or not mine:
                continue
            try:
                await self._do(process, self.chance.choice(mine))
            except (ProcessDied, BacklaneError):
                continue

    async def _do(self, process: Process, job_id: str) -> None:
        ports, draw = process.ports, self.chance.random()
        work: Any
        if draw < 0.25:
            work = escalate(ports, self.caller, job_id, "somebody asked")
        elif draw < 0.55:
            work = self.chance.choice(_MARKS)(ports, self.caller, job_id)
        elif draw < 0.7:
            work = annotate(ports, self.caller, job_id, "looked at it", for_requester=draw < 0.6)
        elif draw < 0.85:
            work = open_case(ports, self.caller, job_id, "somebody rang", None)
        elif draw < 0.9:
            asked = bulk.Bulk(action="archive", reason="old", dry_run=draw < 0.87)
            work = bulk.in_bulk(ports, self.caller, asked, ids=[job_id, "job_nowhere"], search=None)
        else:
            await self._close(process, job_id)
            return
        await process.ask(work)

    async def _close(self, process: Process, job_id: str) -> None:
        view = await process.ask(read_job(process.ports, self.caller, job_id))
        if view["case"] is not None:
            state = self.chance.choice(["closed", "closed", "open"])
            change = CaseChange(given=frozenset({"state", "owner"}), owner=self.caller.name, state=state)
            await process.ask(change_case(process.ports, self.caller, view["case"], change))

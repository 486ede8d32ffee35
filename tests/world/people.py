"""The people of the simulated world: they submit, repeat themselves, look, cancel, retry, follow and resolve."""

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from backlane.core.storage import Search
from backlane.errors import BacklaneError, IdempotencyConflict, NotFound
from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.control_actions import resolve_action
from backlane.service.read import list_jobs, read_job
from backlane.service.submit import Submission, body_hash, submit
from backlane.store.tables import jobs
from backlane.store.tables_actions import actions
from tests.world.oracle import happened
from tests.world.process import Process, ProcessDied

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_TYPES = ("digest", "checked", "plain", "draft", "short", "cheap", "second-look", "by-tonight", "by-tonight")
_TEXTS = ("Sea otters float on their backs while they rest.", "A bad sentence. And a good one about kelp.")


@dataclass(slots=True)
class Requester:
    """Somebody with work to give, in one workspace."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random
    named: str = ""
    jobs: list[str] = field(default_factory=list[str])
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])

    async def live(self, jobs: int) -> None:
        """Give work until the storm is over, and look after it."""
        given = 0
        while self.world.storming:
            await asyncio.sleep(self.chance.expovariate(1 / 12))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            try:
                if given < jobs and self.chance.random() < 0.5:
                    given += 1
                    await self._submit(process, f"{self.named or self.caller.name}-{given}")
                else:
                    await self._look_after(process)
            except (ProcessDied, BacklaneError):
                continue

    async def _submit(self, process: Process, key: str) -> None:
        body = await self.body(process)
        self.asked.append((key, body))
        await self._ask(process, key, body)

    async def body(self, process: Process) -> dict[str, Any]:
        """What is asked for next."""
        return {"type": self.chance.choice(_TYPES), "inputs": {"text": self.chance.choice(_TEXTS)}}

    async def _ask(self, process: Process, key: str, body: dict[str, Any]) -> None:
        digest = body_hash(body)
        work = submit(process.ports, self.caller, Submission(**body), key=key, body_hash=digest)
        seen: dict[str, Any] = {"key": f"{self.caller.workspace}/{key}", "body_hash": digest, "job": None}
        try:
            job, _ = await process.ask(work)
        except ProcessDied:
            self.world.submits.append({**seen, "outcome": "info"})
            raise
        except IdempotencyConflict:
            self.world.submits.append({**seen, "outcome": "conflict"})
            return
        self.world.submits.append({**seen, "job": job.id, "outcome": "ok"})
        self.world.canaries[job.id] = self.caller.workspace
        if job.id not in self.jobs:
            self.jobs.append(job.id)

    async def _look_after(self, process: Process) -> None:
        """One thing a person does about work that is under way."""
        draw = self.chance.random()
        if draw < 0.25 and self.asked:
            key, body = self.chance.choice(self.asked)
            if self.chance.random() < 0.2:
                body = {**body, "inputs": {**body["inputs"], "text": "another body under the same key"}}
            await self._ask(process, key, body)
        elif draw < 0.45 and self.jobs:
            await process.ask(control.cancel(process.ports, self.caller, self.chance.choice(self.jobs), "no"))
        elif draw < 0.6 and self.jobs:
            job, _ = await process.ask(
                control.retry(process.ports, self.caller, self.chance.choice(self.jobs))
            )
            self.world.canaries[job.id] = self.caller.workspace
            if job.id not in self.jobs:
                self.jobs.append(job.id)
        elif draw < 0.8:
            await self._peep(process)
        elif self.jobs:
            await process.ask(read_job(process.ports, self.caller, self.chance.choice(self.jobs)))

    async def _peep(self, process: Process) -> None:
        """Nothing of another workspace may be seen."""
        world = self.world
        search = Search(workspace=self.caller.workspace)
        page = await process.ask(list_jobs(process.ports, self.caller, search, None, b"secret"))
        for view in page["data"]:
            if world.canaries.get(view["id"], self.caller.workspace) != self.caller.workspace:
                world.violation("I23", f"{self.caller.name} was listed {view['id']} of another workspace")
        foreign = [job for job, place in world.canaries.items() if place != self.caller.workspace]
        if foreign:
            try:
                await process.ask(read_job(process.ports, self.caller, self.chance.choice(foreign)))
            except NotFound:
                return
            world.violation("I23", f"{self.caller.name} could read a job of another workspace")

    async def follow(self) -> None:
        """Follow one job's events across reconnects: each once, in order."""
        while not self.jobs:
            await asyncio.sleep(10)
            if not self.world.storming:
                return
        job, seen = self.jobs[0], list[int]()
        self.world.watches.append(seen)
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(1, 60))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            try:
                after = seen[-1] if seen else 0
                page, _ = await process.ask(show.read_events(process.ports, self.caller, job, after, 5))
            except (ProcessDied, BacklaneError):
                continue
            seen += [event["seq"] for event in page]


@dataclass(slots=True)
class Operator:
    """Somebody who settles what nobody could know, from the provider's own log where it says something."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random

    async def live(self) -> None:
        """Resolve now and then; until everything is settled."""
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(20, 200))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            try:
                await self.resolve_one(process)
                await self._resolve_effect(process)
            except (ProcessDied, BacklaneError):
                continue

    async def _resolve_effect(self, process: Process) -> None:
        """Say what became of an action that nobody knows of, as the outside's own log tells."""
        asked = (
            select(actions.c.id, actions.c.key)
            .join(jobs, jobs.c.id == actions.c.job_id)
            .where(actions.c.state == "unknown", jobs.c.phase == "effect_unknown")
            .where(jobs.c.workspace == self.caller.workspace)
        )
        with self.world.look.connection() as connection:
            found = connection.execute(asked.order_by(actions.c.id)).all()
        for action_id, key in found:
            if key not in self.world.outside.in_air:
                outcome = "happened" if happened(self.world, action_id, key) else "did_not_happen"
                await process.ask(
                    resolve_action(process.ports, self.caller, action_id, outcome, "I rang them")
                )

    async def resolve_one(self, process: Process) -> None:
        """Settle one open question."""
        search = Search(workspace=self.caller.workspace, phase="submission_unknown")
        views = (await process.ask(list_jobs(process.ports, self.caller, search, None, b"secret")))["data"]
        if not views:
            return
        view = self.chance.choice(views)
        newest = view["attempts"][-1]
        attempt = newest["id"]
        runs = {
            line["metadata"]["backlane_attempt"]: line["response_id"]
            for line in self.world.provider.world.log
            if line["call"] == "create" and line["response_id"] and line["metadata"]
        }
        # Attaching a run whose stream was lost only shows once more that it was.
        findable = attempt in runs and newest["code"] != "stream_lost"
        choice = "attach" if findable else self.chance.choice(["run_again", "give_up"])
        work = control.resolve(
            process.ports, self.caller, view["id"], choice, provider_response_id=runs.get(attempt)
        )
        try:
            await process.ask(work)
        except BacklaneError:
            if self.chance.random() < 0.5:
                await process.ask(control.resolve(process.ports, self.caller, view["id"], "give_up"))

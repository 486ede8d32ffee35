"""Who asks for what only people may let out, and who talks to jobs while they write."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from backlane.errors import AwaitingReview, BacklaneError, NotReleased
from backlane.service import control_actions, show
from backlane.service.escalate import escalate
from backlane.service.message import message
from backlane.service.read import read_job
from backlane.service.show_actions import read_action
from backlane.store.tables import jobs
from tests.world.kinds import KINDS
from tests.world.kinds_acting import CANARY
from tests.world.people import Requester
from tests.world.process import Process
from tests.world.visitors import TEXTS

# Most name an order, so that there is something to do about it.
_ORDERS = (*TEXTS[1:], *TEXTS[1:], TEXTS[0])
_WORDS = ("Shorter, please.", "And what about order XY-7?", "Say it kindly.")


@dataclass(slots=True)
class Petitioner(Requester):
    """Somebody whose jobs act, or are gated; they look at all they may see of them, push some, take some back."""

    async def body(self, process: Process) -> dict[str, Any]:
        """What is asked for next."""
        return {"type": self.chance.choice(KINDS["acts"]), "inputs": {"text": self.chance.choice(_ORDERS)}}

    async def _look_after(self, process: Process) -> None:
        draw = self.chance.random()
        if not self.jobs or draw > 0.75:
            await Requester._look_after(self, process)
            return
        job_id = self.chance.choice(self.jobs[-4:])
        if draw < 0.2:
            view = await process.ask(read_job(process.ports, self.caller, job_id))
            for action in view["actions"]:
                if "undo" in action["allowed"]:
                    self.world.counts["undone"] += 1
                    undo = control_actions.undo_action(process.ports, self.caller, action["id"], "not so")
                    await process.ask(undo)
            return
        if draw < 0.26:
            self.world.counts["pushed"] += 1
            # Up first, and then to whomever they would rather have.
            for to in (self.chance.choice(("admin", None)), "reviewer"):
                with suppress(BacklaneError):
                    await process.ask(escalate(process.ports, self.caller, job_id, "it is due today", to))
            return
        await self._spy(process, job_id)

    async def _spy(self, process: Process, job_id: str) -> None:
        """Read all there is; nothing of a gated run may be in it before it is released."""
        ports, caller = process.ports, self.caller
        view = await process.ask(read_job(ports, caller, job_id))
        seen: list[Any] = [view, await process.ask(show.read_events(ports, caller, job_id, 0, 200))]
        artifacts = await process.ask(show.list_artifacts(ports, caller, job_id))
        seen.append(artifacts)
        for one in view["actions"]:
            seen.append(await process.ask(read_action(ports, caller, one["id"])))
        for one in artifacts:
            try:
                seen.append(
                    str((await process.ask(show.read_content(ports, caller, one["id"], None))).content)
                )
            except (AwaitingReview, NotReleased):
                continue
        if CANARY in json.dumps(seen, default=str) and not self._released(job_id):
            self.world.violation(
                "I23", f"{caller.name} was shown what {job_id} had written before its release"
            )

    def _released(self, job_id: str) -> bool:
        asked = select(jobs.c.gate, jobs.c.status, jobs.c.released).where(jobs.c.id == job_id)
        with self.world.look.connection() as connection:
            gate, status, released = connection.execute(asked).one()
        return gate == "none" or (status == "completed" and released is not None)


@dataclass(slots=True)
class Talker(Requester):
    """Somebody who says more while their jobs write, and after they have ended; some words are sent twice."""

    said: int = 0

    async def body(self, process: Process) -> dict[str, Any]:
        """What is asked for next."""
        return {"type": self.chance.choice(KINDS["chats"]), "inputs": {"text": self.chance.choice(TEXTS)}}

    async def _look_after(self, process: Process) -> None:
        if not self.jobs or self.said > 12 or self.chance.random() < 0.3:
            await Requester._look_after(self, process)
            return
        self.said += 1
        job_id, text = self.chance.choice(self.jobs), self.chance.choice(_WORDS)
        text += f" ({self.said})" if self.chance.random() < 0.7 else ""
        key = f"{self.named}-said-{self.said}"
        for click in self._clicks(process):
            self.world.counts["words"] += 1
            job, _ = await click.ask(
                message(click.ports, self.caller, job_id, text, key=key, body_hash=f"{job_id}{text}")
            )
            self.world.canaries[job.id] = self.caller.workspace
            if job.id not in self.jobs:
                self.jobs.append(job.id)

    def _clicks(self, process: Process) -> Iterator[Process]:
        yield process
        if self.chance.random() < 0.3:
            yield self.world.somebody(self.chance) or process


async def linger(requester: Requester, given: int) -> None:
    """Live, and follow one job."""
    await asyncio.gather(requester.live(given), requester.follow())

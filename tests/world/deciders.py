"""Who decides in the simulated world: reviewers who race each other, and a chief who takes keys and stops actions."""

import asyncio
import contextlib
import json
import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import rfc8785
from sqlalchemy import select, update

from backlane.core.review import RESOLVED_ONLY
from backlane.errors import BacklaneError
from backlane.service.access import Caller
from backlane.service.claim import claim, release_claim
from backlane.service.control_actions import allow_actions, stop_actions
from backlane.service.decide import Decided, decide
from backlane.service.make_key import make_key
from backlane.service.read import read_job
from backlane.service.revoke import revoke_key
from backlane.service.show_review import list_reviews, read_review
from backlane.store.tables import reviews
from backlane.store.tables_actions import actions
from tests.world.kinds_acting import CANARY
from tests.world.outside import live_keys
from tests.world.process import Process, ProcessDied

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_WRITES_TEXT = frozenset({"letter", "memo", "chat-draft", "helped-draft"})


@dataclass(slots=True)
class Reviewer:
    """Somebody who answers what waits for a person: mostly right, sometimes twice, sometimes about something old."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random

    async def live(self) -> None:
        """Until all is settled, or, where nobody stays, until the storm is over."""
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(2, 25))
            if not (self.world.storming or self.world.weather.reviewers_stay):
                return
            process = self.world.somebody(self.chance)
            if process is None or not live_keys(self.world, self.caller.name, self.caller.workspace):
                continue
            with contextlib.suppress(ProcessDied, BacklaneError):
                await self._look_through(process)

    async def _look_through(self, process: Process) -> None:
        asked = list_reviews(process.ports, self.caller, {"state": "pending"}, None, 50, secret=b"secret")
        pending = [one for one in (await process.ask(asked))["data"] if one["kind"] not in RESOLVED_ONLY]
        if not pending:
            return
        # One's own is closed, and not to be decided; somebody tells its hash, and it is tried all the same.
        forbidden = [one for one in pending if one["payload_hash"] is None]
        tempted = bool(forbidden) and self.chance.random() < 0.4
        review = self.chance.choice(forbidden if tempted else pending)
        shown = await process.ask(read_review(process.ports, self.caller, review["id"]))
        if shown["payload_hash"] is None:
            shown = {**shown, "payload_hash": self._told(review["id"])}
        draw = self.chance.random()
        if draw < 0.1:
            over = self.chance.random() < 0.5
            work = claim(process.ports, self.caller, review["id"], take_over=over, reason="I know it")
            await process.ask(work)
        elif draw < 0.14:
            await process.ask(release_claim(process.ports, self.caller, review["id"]))
        else:
            await asyncio.sleep(self.chance.choice([0, 0, 3, 20]))
            other = self.chance.choice(pending)["payload_hash"]  # None for one's own
            await self._answer(process, shown, other if draw < 0.2 else None)

    def _told(self, review_id: str) -> str:
        """The hash of a review, as a colleague reads it out."""
        with self.world.look.connection() as connection:
            asked = select(reviews.c.payload_hash).where(reviews.c.id == review_id)
            return str(connection.execute(asked).scalar_one())

    async def _answer(self, process: Process, shown: dict[str, Any], replayed: str | None) -> None:
        """Decide on what was shown; with another's hash, which must lead to nothing."""
        answer = await self._decided(process, shown)
        if replayed is not None and replayed != shown["payload_hash"]:
            answer = replace(answer, payload_hash=replayed)
            await process.ask(decide(process.ports, self.caller, shown["id"], answer))
            self.world.violation("I11", f"{shown['id']} was decided under the hash of something else")
            return
        clicks = [process, self.world.somebody(self.chance) or process]
        clicks = clicks[: 2 if self.chance.random() < 0.3 else 1]
        self.world.counts["decisions"] += 1
        work = (one.ask(decide(one.ports, self.caller, shown["id"], answer)) for one in clicks)
        for said in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(said, BaseException) and not isinstance(said, ProcessDied | BacklaneError):
                raise said

    async def _decided(self, process: Process, shown: dict[str, Any]) -> Decided:
        draw, known = (
            self.chance.random(),
            {"payload_hash": shown["payload_hash"], "take_over": True, "reason": "now"},
        )
        # Only while it storms: a draft that is sent back for ever never comes to rest.
        if draw > 0.9 and self.world.storming:
            self.world.counts["sent back"] += 1
            return Decided(decision="request_changes", notes="Say it more kindly.", **known)
        if draw < 0.14:
            return Decided(decision="reject", notes="no", reason_code="wrong", **known)
        if draw < 0.3:
            edits = await self._edits(process, shown)
            return Decided(decision="approve", edits=edits, has_edits=True, **known)
        return Decided(decision="approve", **known)

    async def _edits(self, process: Process, shown: dict[str, Any]) -> Any:
        """A whole new version of what is shown."""
        word = f"edited {self.chance.randint(1, 99)}"
        if shown["kind"] == "action" and shown["payload"] is not None:
            arguments = shown["payload"]["arguments"]
            return {**arguments, "words" if "words" in arguments else "reason": word}
        view = await process.ask(read_job(process.ports, self.caller, shown["job"]))
        if view["type"] in _WRITES_TEXT:
            return f"{word} {CANARY}"
        return {"summary": word, "themes": ["kelp"]}


@dataclass(slots=True)
class Chief:
    """An admin who takes keys away and gives new ones, and throws the kill switch; in the calm all is allowed."""

    world: "SimulatedWorld"
    caller: Caller
    chance: random.Random
    people: list[Caller]

    async def live(self) -> None:
        """Until all is settled."""
        weather = self.world.weather
        while not self.world.settled:
            await asyncio.sleep(self.chance.uniform(4, 40))
            process = self.world.somebody(self.chance)
            if process is None:
                continue
            with contextlib.suppress(ProcessDied, BacklaneError):
                # By a clock that jumps nobody could say who had a key when.
                if weather.revokes and weather.jump_every is None:
                    await self._about_keys(process)
                if weather.switches_off:
                    stops = self.world.storming and self.chance.random() < 0.4
                    work = (stop_actions if stops else allow_actions)(process.ports, self.caller, "so")
                    await process.ask(work)

    async def _about_keys(self, process: Process) -> None:
        """Take a reviewer's key, or give a new one to who has none."""
        who, ports = self.chance.choice(self.people), process.ports
        held = live_keys(self.world, who.name, who.workspace)
        for key in held if self.world.storming and self.chance.random() < 0.6 else ():
            self.world.counts["revoked"] += 1
            await process.ask(
                ports.store.write(lambda tx, key=key: revoke_key(tx, ports, key, self.caller.name))
            )
        if not held:
            given = {"role": who.role, "workspace": who.workspace_name, "name": who.name}
            random_bytes = self.chance.randbytes(22)
            await process.ask(ports.store.write(lambda tx: make_key(tx, ports, random_bytes, **given)))


async def vandalize(world: "SimulatedWorld") -> None:
    """Somebody writes into the database itself: what was approved is not what lies there any more."""
    chance = random.Random(f"{world.seed}:vandal")
    waiting = select(actions.c.id, actions.c.arguments).where(actions.c.state.in_(("proposed", "approved")))
    while world.storming:
        await asyncio.sleep(chance.uniform(20, 120))
        with world.look.connection() as connection:
            found = connection.execute(waiting.order_by(actions.c.id)).all()
        if not found or not world.storming:
            continue
        action_id, arguments = chance.choice(found)
        given = json.loads(arguments)
        name = next(one for one in sorted(given) if one in ("order_id", "words"))
        evil = rfc8785.dumps({**given, name: f"evil-{chance.randint(1, 9)}"}).decode()
        change = update(actions).where(actions.c.id == action_id).values(arguments=evil)
        world.look.write_now(lambda connection, change=change: connection.execute(change) and None)
        world.counts["vandalized"] += 1

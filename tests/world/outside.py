"""The outside world that actions reach: it takes each key as it comes, keeps its own log, and answers badly."""

import asyncio
import hashlib
import json
import random
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from backlane import ActionFailed, Receipt
from backlane.core.policy import Over
from backlane.core.review import Decision
from backlane.service.approve_action import POLICY
from backlane.service.judge import policy_version
from backlane.store.people import keys, principals
from backlane.store.tables import jobs, reviews
from backlane.store.tables_actions import actions, dispatches
from backlane.store.tables_policy import policy_verdicts
from backlane.store.tables_review import decisions
from tests.world.kinds_acting import receipt

if TYPE_CHECKING:
    from tests.world.process import Process
    from tests.world.world import SimulatedWorld

_EDITION = 150.0  # how long a page stays as it is, seconds
# Whose code runs: set for everything that a process begins.
HERE: ContextVar["Process"] = ContextVar("process")
# What the page showed when it was read last, by whoever calls now.
_SEEN: ContextVar[str] = ContextVar("seen")


class Nearby:
    """The outside as the job types know it: that of whichever world their process lives in."""

    async def take(self, key: str, arguments: dict[str, Any]) -> Receipt:
        return await HERE.get().world.outside.take(key, arguments)

    async def find(self, key: str) -> Receipt | None:
        return await HERE.get().world.outside.find(key)

    async def page(self, order_id: str) -> str:
        return await HERE.get().world.outside.page(order_id)


class TheOutside:
    """One for all processes. What arrives is judged the moment it arrives; what it does goes on without its caller."""

    def __init__(self, world: "SimulatedWorld") -> None:
        self._world = world
        self._chance = random.Random(f"{world.seed}:outside")
        self.log: list[dict[str, Any]] = []
        self.in_air: set[str] = set()
        self._arrived: set[str] = set()
        self._working: set[asyncio.Task[None]] = set()

    def took_effect(self, key: str) -> bool:
        """Whether anything happened under this key."""
        return any(line["key"] == key for line in self.log)

    def _happens(self, name: str) -> bool:
        rate = self._world.weather.outside.get(name, 0.0) if self._world.storming else 0.0
        return self._chance.random() < rate

    async def take(self, key: str, arguments: dict[str, Any]) -> Receipt:
        """One call: it may fail before, after, or be too slow, and its reply may be lost."""
        process, world = HERE.get(), self._world
        world.counts["dispatched"] += 1
        await process.turn("to the outside")
        self._judge(process, key, arguments)
        if self._happens("refused"):
            raise ActionFailed("the account is closed")
        if self._happens("broken before"):
            raise RuntimeError("the outside broke")
        slow = self._happens("slow")
        delay = self._chance.uniform(10, 19) if slow else self._chance.uniform(0.01, 8)
        self.in_air.add(key)
        working = world.loop.create_task(self._work(key, delay))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        if self._happens("caller dies"):
            world.loop.call_later(self._chance.uniform(0, 12), self._strike, process)
        await asyncio.shield(working)
        if self._happens("reply lost"):
            await asyncio.sleep(10_000)
        if self._happens("broken after"):
            raise RuntimeError("the outside broke after it had happened")
        await asyncio.sleep(self._chance.uniform(0.01, 6))
        await process.turn("from the outside")
        return receipt(key)

    def _strike(self, process: "Process") -> None:
        if process.alive and self._world.storming:
            self._world.demon.strike(process)

    async def _work(self, key: str, delay: float) -> None:
        await asyncio.sleep(delay)
        self.in_air.discard(key)
        self.log.append({"key": key, "at": self._world.loop.time()})
        self._world.counts["effects"] += 1

    async def find(self, key: str) -> Receipt | None:
        """What took effect; it may be slow or break as well."""
        process = HERE.get()
        self._world.counts["lookups"] += 1
        await process.turn("to look outside")
        if self._happens("lookup broken"):
            raise RuntimeError("the outside does not answer")
        found = self.took_effect(key)
        await asyncio.sleep(self._chance.uniform(0.01, 3))
        await process.turn("from looking outside")
        return receipt(key) if found else None

    async def page(self, order_id: str) -> str:
        """What an order's page shows for a few minutes, and then no more."""
        process, world = HERE.get(), self._world
        await process.turn("to read a page")
        text = f"{order_id}, edition {int(world.loop.time() // _EDITION)}"
        _SEEN.set(f"sha256:{hashlib.sha256(text.encode()).hexdigest()}")
        await process.turn("from reading a page")
        return text

    def _judge(self, process: "Process", key: str, arguments: dict[str, Any]) -> None:
        """What arrives must be on the ledger, once, and approved as it is."""
        if key in self._arrived:
            self._world.violation("I10", f"{key} arrived outside a second time")
        self._arrived.add(key)
        with self._world.look.connection() as connection:
            row = connection.execute(select(actions).where(actions.c.key == key)).mappings().first()
            sent = connection.execute(select(dispatches).where(dispatches.c.key == key)).mappings().first()
            if row is None or sent is None or row["state"] not in ("dispatching", "unknown", "failed"):
                state = None if row is None else row["state"]
                told = f"{key} arrived outside, its action is {state}, dispatched: {sent is not None}"
                self._world.violation("I10", told)
                return
            job = connection.execute(select(jobs).where(jobs.c.id == row["job_id"])).mappings().one()
            asked = select(reviews).where(reviews.c.id == sent["review_id"])
            review = connection.execute(asked).mappings().first()
            given = select(decisions).where(decisions.c.review_id == sent["review_id"])
            decided = connection.execute(given).mappings().all()
            said = (
                connection.execute(select(policy_verdicts).where(policy_verdicts.c.action_id == row["id"]))
                .mappings()
                .all()
            )
        loaded = policy_version(process.ports.types.get(job["type"]), Over.ACTION)
        if row["policy_version"] != loaded:
            told = f"{key} was approved under {row['policy_version']}, and went out under {loaded}"
            self._world.violation("I12", told)
        if row["content"] is not None and row["content"] != _SEEN.get():
            self._world.violation("I12", f"{key} arrived outside, what it shows is another by now")
        if row["approved_by"] == POLICY and _allowed(row, sent, said):
            return
        for what in _unapproved(arguments, job, review, decided):
            self._world.violation("I12", f"{key} of {job['id']} arrived outside: {what}")


def _allowed(action: Any, sent: Any, said: Any) -> bool:
    """Whether a policy's newest word about these very bytes was that they may go out."""
    whole = sent["payload_hash"] == action["payload_hash"] and sent["arguments"] == action["arguments"]
    newest = said[-1] if said else None
    return (
        whole
        and newest is not None
        and (newest["answer"], newest["payload_hash"]) == ("allow", sent["payload_hash"])
    )


def _unapproved(arguments: dict[str, Any], job: Any, review: Any, decided: Any) -> list[str]:
    """Why what arrived is not what somebody approved; empty where it is."""
    if review is None or review["state"] != "approved":
        return ["nobody approved it"]
    shown = json.loads(review["payload"])["arguments"]
    if shown != arguments:
        return [f"{shown} was approved, {arguments} arrived"]
    people = {
        one["actor"]
        for one in decided
        if one["decision"] == Decision.APPROVE and one["payload_hash"] == review["payload_hash"]
    }
    people -= {job["submitted_by"], job["user"]} if review["separate"] else set()
    if len(people) < review["quorum"]:
        return [f"approved by {sorted(people)} of {review['quorum']}"]
    return []


def live_keys(world: "SimulatedWorld", name: str, workspace: str) -> list[str]:
    """The ids of somebody's keys that are not revoked."""
    mine = (
        select(keys.c.id)
        .join(principals, principals.c.id == keys.c.principal_id)
        .where(principals.c.name == name, keys.c.workspace == workspace, keys.c.revoked_at.is_(None))
    )
    with world.look.connection() as connection:
        return [row[0] for row in connection.execute(mine.order_by(keys.c.id)).all()]


def acting(world: "SimulatedWorld", sender: str) -> int:
    """How many actions this process is carrying out, as committed."""
    mine = select(actions.c.id).where(actions.c.state == "dispatching", actions.c.sender == sender)
    with world.look.connection() as connection:
        return len(connection.execute(mine).all())

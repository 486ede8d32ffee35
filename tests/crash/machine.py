"""The test's side of the crash harness: a machine whose service is killed, started again, and judged."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from backlane.core.storage import Search
from backlane.outbound.folder import ArtifactFolder
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.deliveries import Endpoint
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from tests.conftest import Place
from tests.crash.outside import HANGS, NEVER, FileOutside
from tests.signing import SECRET

ROOT = Path(__file__).parents[2]
QUICK = {"unknown_wait": 0.2, "look_first": 0.02, "call_timeout": 5.0, "cancel_wait": 0.5}
LARGE, LONG = "LARGE", "LONG"
# What each cycle is given to do: every point is on the way of some of these.
WORK = [
    ("digest", "Otters float."),
    ("plain", f"{LARGE} otters."),
    ("checked", "Kelp."),
    ("plain", f"{LONG} sleep."),
]
LIVE = [("told", "Otters float on their backs while they rest, and comb their pups for hours.")]
TOOLS = [("helped", "Order AB-1234 was late. Nobody wrote back.")]
FILES = [("papers", "Read it.")]
ACTS = [
    ("refund", "Order AB-12 came 3 days late."),
    ("two-things", "Order CD-34 came 9 days late, and nobody wrote."),
]
DRAFTS = [
    ("letter", "Write to the keeper of the otters."),
    ("letter", "Write to the keeper of the kelp."),
    ("ruled", "Order AB-12 came 3 days late."),
    ("ruled", "Order CD-35 came 9 days late."),
]
# What becomes of these nobody says: they are looked up.
DOUBTS = [
    ("refund", f"Order {HANGS}-1 came 5 days late."),
    ("refund-pair", f"Order {NEVER}-2 came 7 days late."),
]
SLOWLY = "SLOWLY"
PATIENT = "PATIENTLY"
HEARD = [("chat", f"{PATIENT}, please. Otters float on their backs while they rest, and comb their pups.")]
TALK = [("chat", f"{SLOWLY}, please. Otters float on their backs while they rest, and comb their pups.")]


@dataclass
class Machine:
    """One folder, one port, and the processes that come and go on it."""

    place: Place
    folder: Path
    key: str = ""
    settings: dict[str, Any] = field(default_factory=lambda: dict(QUICK))
    lock: bool = True
    submits: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    kills: Counter[str] = field(default_factory=Counter[str])
    in_flight: int = 0
    port: int = 0
    _nursery: asyncio.subprocess.Process | None = None
    _asking: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    reviewers: list[str] = field(default_factory=list[str])
    # Whether the reviewers say anything but yes.
    torn: bool = False
    bothered: Counter[str] = field(default_factory=Counter[str])
    _given: int = 0

    async def begin(self) -> None:
        """Warm the parent up, and tell the provider how the work goes."""
        self.key = await self.place.key()
        provider = self.place.simulator
        provider.script(
            {"match": {"input_contains": LARGE}, "then": {"text_characters": 40_000}, "times": None},
            {"match": {"input_contains": LONG}, "then": {"running_seconds": 20}, "times": None},
            *(
                {"match": {"input_contains": word}, "then": {"running_seconds": 1.0}, "times": None}
                for word in (SLOWLY, PATIENT)
            ),
        )
        self._nursery = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.crash.nursery",
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.port = (await self._told())["port"]
        who = (("rita", "reviewer"), ("rosa", "reviewer"), ("ada", "admin"), ("adam", "admin"))
        self.reviewers = [await self.place.key(name, role) for name, role in who]

    def hear(self) -> None:
        """From now on the provider tells this machine of every end, signed."""
        url = f"http://127.0.0.1:{self.port}/v1/providers/openai/webhooks"
        world = self.place.simulator.world
        world.switches.webhook_retry_seconds = 0.2
        world.webhooks.endpoints["machine"] = Endpoint("machine", "machine", url, SECRET, 0.0, 0.0)
        self.settings["openai_webhook_secret"] = SECRET

    async def end(self) -> None:
        """Let go of the parent and everybody it forked."""
        assert self._nursery is not None and self._nursery.stdin is not None
        self._nursery.stdin.close()
        await asyncio.wait_for(self._nursery.wait(), 30)

    async def _told(self) -> dict[str, Any]:
        assert self._nursery is not None and self._nursery.stdout is not None
        return json.loads(await asyncio.wait_for(self._nursery.stdout.readline(), 60))

    async def _order(self, **order: Any) -> dict[str, Any]:
        assert self._nursery is not None and self._nursery.stdin is not None
        self._nursery.stdin.write(json.dumps(order).encode() + b"\n")
        return await self._told()

    async def fork(self, armed: str = "") -> int:
        """Start a service process, which may be told to kill itself at a named point."""
        order: dict[str, Any] = {
            "do": "fork", "armed": armed, "folder": str(self.folder), "lock": self.lock,
            "provider": self.place.simulator.url, "settings": self.settings,
        }  # fmt: skip
        return (await self._order(**order))["pid"]

    async def ended(self, pid: int) -> bool:
        """Whether the process is gone."""
        return (await self._order(do="poll", pid=pid))["ended"]

    async def kill(self, pid: int, why: str) -> None:
        """kill -9, with whatever it is in the middle of."""
        self.note_kill(why)
        os.kill(pid, signal.SIGKILL)
        await self._order(do="wait", pid=pid)

    def note_kill(self, why: str) -> None:
        """Count a kill, and whether anything was under way."""
        self.kills[why] += 1
        self.in_flight += self.open_jobs() > 0

    def open_jobs(self) -> int:
        """How many jobs are queued or running."""
        database = self.place.service.store.database
        return database.read_now(
            lambda connection: connection.exec_driver_sql(
                "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')"
            ).scalar_one()
        )

    def unfinished(self) -> int:
        """Open jobs, and what belongs to no job: files left at the provider, events not worked off."""
        asked = """
            SELECT (SELECT count(*) FROM jobs WHERE status IN ('queued', 'running'))
                + (SELECT count(*) FROM provider_files WHERE state NOT IN ('refused', 'deleted'))
                + (SELECT count(*) FROM inbox WHERE state IN ('new', 'parked'))
                + (SELECT count(*) FROM reviews WHERE state = 'pending' AND kind IN ('action', 'output'))
        """
        database = self.place.service.store.database
        return database.read_now(lambda connection: connection.exec_driver_sql(asked).scalar_one())

    def settled_asking(self) -> bool:
        """Whether every submit was answered."""
        return all(task.done() for task in self._asking)

    def give(self, work: list[tuple[str, str]] | None = None) -> None:
        """Submit work over HTTP; each submit is repeated under its key until it is answered."""
        for type_name, text in work or WORK:
            self._given += 1
            self._asking.append(asyncio.create_task(self._submit(f"key-{self._given}", type_name, text)))

    async def _submit(self, key: str, type_name: str, text: str) -> None:
        inputs: dict[str, Any] = {"text": text}
        headers = {"Authorization": f"Bearer {self.key}", "Idempotency-Key": key}
        url = f"http://127.0.0.1:{self.port}/v1/jobs"
        async with httpx2.AsyncClient(headers=headers, timeout=10) as http:
            if type_name == "papers":
                inputs["attachments"] = [await self._file(http, f"{key}: the gate at the river is green.")]
            while True:
                try:
                    answer = await http.post(url, json={"type": type_name, "inputs": inputs})
                except httpx2.TransportError:
                    self.submits.append({"key": key, "body_hash": "b", "job": None, "outcome": "info"})
                    await asyncio.sleep(0.01)
                    continue
                assert answer.status_code in (200, 202), answer.text
                job = answer.json()["id"]
                self.submits.append({"key": key, "body_hash": "b", "job": job, "outcome": "ok"})
                if LONG in text:
                    await self._cancel(http, job)
                if SLOWLY in text:
                    await self._say(http, job, key)
                return

    async def _file(self, http: httpx2.AsyncClient, text: str) -> str:
        """Send a file in, again until it is taken; its id."""
        headers = {"Content-Type": "text/plain"}
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}/v1/files"
                answer = await http.post(url, content=text.encode(), headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.01)
                continue
            assert answer.status_code == 201, answer.text
            return answer.json()["id"]

    async def _say(self, http: httpx2.AsyncClient, job: str, key: str) -> None:
        """Say something to a job while it writes, once its stream is heard or after a while all the same."""
        for _ in range(60):
            if self._count("SELECT count(*) FROM events WHERE job_id = ? AND type = 'output.delta'", job):
                break
            await asyncio.sleep(0.02)
        headers = {"Idempotency-Key": f"{key}-said"}
        while True:
            try:
                url = f"http://127.0.0.1:{self.port}/v1/jobs/{job}/messages"
                await http.post(url, json={"text": f"Shorter ({key})."}, headers=headers)
            except httpx2.TransportError:
                await asyncio.sleep(0.02)
                continue
            return

    def _count(self, asked: str, *values: Any) -> int:
        database = self.place.service.store.database
        return database.read_now(lambda connection: connection.exec_driver_sql(asked, values).scalar_one())

    async def _cancel(self, http: httpx2.AsyncClient, job: str) -> None:
        """Cancel a job once its run is under way, or after a while all the same."""
        for _ in range(20):
            await asyncio.sleep(0.1)
            if any(
                line["metadata"].get("backlane_job") == job for line in list(self.place.simulator.world.log)
            ):
                break
        while True:
            try:
                await http.post(f"http://127.0.0.1:{self.port}/v1/jobs/{job}/cancel", json={})
            except httpx2.TransportError:
                await asyncio.sleep(0.1)
                continue
            return

    async def settle(self) -> None:
        """One process that nobody kills brings everything to its end; a person answers what nobody knows."""
        pid = await self.fork()
        await asyncio.wait_for(asyncio.gather(*self._asking), 60)
        self._asking.clear()
        for _ in range(3000):
            await self._resolve()
            if self.unfinished() == 0 and not await self._unknown():
                break
            await asyncio.sleep(0.02)
        else:
            waiting = self._waiting()
            raise AssertionError(
                f"{self.open_jobs()} jobs, {self.unfinished()} things did not end; these wait: {waiting}"
            )
        os.kill(pid, signal.SIGKILL)
        await self._order(do="wait", pid=pid)

    def _waiting(self) -> list[Any]:
        asked = "SELECT kind, role, quorum, job_id FROM reviews WHERE state = 'pending'"
        database = self.place.service.store.database
        return database.read_now(lambda connection: [tuple(row) for row in connection.exec_driver_sql(asked)])

    async def _unknown(self) -> list[str]:
        caller = await self.place.caller("olga", "operator")
        search = Search(workspace=caller.workspace, phase="submission_unknown", limit=200)
        jobs = await self.place.service.store.read(lambda tx: tx.search(search))
        return [job.id for job in jobs]

    async def _resolve(self) -> None:
        ports = self.place.service.ports
        runs = {
            line["metadata"]["backlane_attempt"]: line["response_id"]
            for line in list(self.place.simulator.world.log)
            if line["call"] == "create" and line["response_id"]
        }
        for job_id in await self._unknown():
            olga = await self.place.caller("olga", "operator")
            view = await read_job(ports, olga, job_id)
            attempt = view["attempts"][-1]["id"]
            lost = view["attempts"][-1]["code"] == "stream_lost"
            choice = "attach" if attempt in runs and not lost else "run_again"
            found = runs.get(attempt) if choice == "attach" else None
            await control.resolve(ports, olga, job_id, choice, provider_response_id=found)

    def verified(self) -> None:
        """Nothing is lost, nothing was bought twice, every invariant holds."""
        folder = ArtifactFolder.from_url(self.place.settings.artifacts_url)
        log = list(self.place.simulator.world.log)
        database = self.place.service.store.database
        effects = [{"key": key} for key in FileOutside(self.folder).effects()]
        histories = {"provider_log": log, "world_log": effects, "submits": self.submits}
        report = check(collect(database, folder.read, **histories))
        assert report.ok, "\n".join(report.lines())
        assert self.place.simulator.world.stats()["duplicates"] == 0

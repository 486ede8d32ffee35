"""The disk is full, the database busy, descriptors or memory run out: it is said plainly, nothing is bought
meanwhile, nothing that was accepted is lost, and it goes on by itself."""

import asyncio
import resource
import socket
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.store.tables import jobs
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, fault, finished, script, seen, submitted, verified
from tests.story.deadly import deadly_app
from tests.story.test_processes import ROOT, environment, listening_port, serve

BODY = {"type": "digest", "inputs": {"title": "x", "text": "A sentence about otters."}}


@pytest.fixture
async def outside(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service without a worker, to look on from outside."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=deadly_app(), log=lambda line: None)
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


async def client(place: Place, process: asyncio.subprocess.Process) -> httpx2.AsyncClient:
    """A client of the served API with a submitter's key."""
    headers = {"Authorization": f"Bearer {await place.key()}"}
    port = await listening_port(process.pid)
    return httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)


async def stop(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 40) == 0


async def leases_lost(place: Place) -> int:
    """Leases that any job lost."""

    def body(connection: Any) -> int:
        return sum(row.leases_lost for row in connection.execute(jobs.select()))

    return await asyncio.to_thread(place.service.store.database.read_now, body)


async def test_a_full_disk_refuses_submits_buys_nothing_and_recovers(outside: Place, tmp_path: Path) -> None:
    process = await serve(outside)
    async with await client(outside, process) as http:
        script(outside, {"running_seconds": 0.1}, times=None)
        fault(outside, "slow", call="create", when="after", seconds=1.5)
        first = (await http.post("/v1/jobs", json=BODY)).json()["id"]
        ana = await outside.caller()
        await seen(outside, ana, first, lambda view: [a["state"] for a in view["attempts"]] == ["sending"])
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        refused = await http.post("/v1/jobs", json=BODY)
        assert (refused.status_code, refused.json()["code"]) == (507, "store-full")
        assert refused.headers["content-type"] == "application/problem+json"
        assert "disk" in refused.json()["hint"]
        # The reply of the create that was out arrives while nothing can be written.
        while creates(outside) == 0 or not outside.simulator.world.log[-1].get("response_id"):
            await asyncio.sleep(0.05)
        assert (await http.get(f"/v1/jobs/{first}")).status_code == 200
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, unlimited)
        view = await finished(outside, ana, (await _job(outside, first)))
        assert (view["status"], len(view["attempts"])) == ("completed", 1)
        second = (await http.post("/v1/jobs", json=BODY)).json()["id"]
        assert (await finished(outside, ana, await _job(outside, second)))["status"] == "completed"
    assert creates(outside) == 2
    assert await leases_lost(outside) == 0
    await stop(process)
    verified(outside)


async def _job(place: Place, job_id: str) -> Any:
    return await place.service.store.read(lambda tx: tx.job(job_id))


def asking(place: Place, key: str) -> httpx2.AsyncClient:
    """A client of the API in this process."""
    headers = {"Authorization": f"Bearer {key}"}
    transport = httpx2.ASGITransport(app=place.app())
    return httpx2.AsyncClient(transport=transport, base_url="http://test", headers=headers, timeout=30)


async def test_a_full_database_file_refuses_and_leaves_nothing_half_stored(working: Place) -> None:
    database = working.service.store.database
    key, ana = await working.key(), await working.caller()
    before = await submitted(working, ana)
    async with asking(working, key) as http:
        # Through the writer's own queue: the limit belongs to the one connection that writes.
        await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1"))
        big = {**BODY, "inputs": {"text": "otters " * 20_000}}
        answers = [await http.post("/v1/jobs", json=big, headers={"Idempotency-Key": "k"}) for _ in range(3)]
        assert {(a.status_code, a.json()["code"]) for a in answers} == {(507, "store-full")}
        await database.write(lambda c: c.exec_driver_sql("PRAGMA max_page_count=1000000"))
        made = [await http.post("/v1/jobs", json=big, headers={"Idempotency-Key": "k"}) for _ in range(2)]
        assert [answer.status_code for answer in made] == [202, 200]
        assert made[0].json()["id"] == made[1].json()["id"]
        await finished(working, ana, await _job(working, made[0].json()["id"]))
    assert (await finished(working, ana, before))["status"] == "completed"
    assert creates(working) == 2
    verified(working)


async def test_a_busy_database_is_waited_for_then_said_and_no_lease_is_lost(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, busy_timeout=0.1)
    place = Place(build(settings, types=deadly_app(), log=lambda line: None), simulator, settings)
    key, ana = await place.key(), await place.caller()
    await place.service.start_worker()
    job = await submitted(place, ana)
    other = sqlite3.connect(tmp_path / "backlane.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    small = {"type": "digest", "inputs": {"text": "otters"}}
    async with asking(place, key) as http:
        for _ in range(3):
            refused = await http.post("/v1/jobs", json=small, headers={"Idempotency-Key": "k"})
            assert (refused.status_code, refused.json()["code"]) == (503, "store-busy")
            assert int(refused.headers["Retry-After"]) > 0
        assert (await http.get(f"/v1/jobs/{job.id}")).status_code == 200
        other.execute("ROLLBACK")
        other.close()
        answer = await http.post("/v1/jobs", json=small, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 202
    for one in (job, await _job(place, answer.json()["id"])):
        assert (await finished(place, ana, one))["status"] == "completed"
    assert await leases_lost(place) == 0
    assert creates(place) == 2
    verified(place)
    await place.service.drain(grace=5)


async def test_out_of_descriptors_sheds_load_and_loses_no_accepted_job(outside: Place) -> None:
    process = await serve(outside)
    ana = await outside.caller()
    accepted: list[str] = []
    async with await client(outside, process) as http:
        accepted.append((await http.post("/v1/jobs", json=BODY)).json()["id"])
        port = await listening_port(process.pid)
        open_now = len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
        unlimited = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (open_now + 4, unlimited[1]))
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        for _ in range(10):
            answer = await http.post("/v1/jobs", json=BODY)
            assert answer.status_code in (202, 503), answer.text
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
        for one in idle:
            one.close()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, unlimited)
        again = await http.post("/v1/jobs", json=BODY)
        assert again.status_code == 202
        accepted.append(again.json()["id"])
    for job_id in accepted:
        assert (await finished(outside, ana, await _job(outside, job_id)))["status"] == "completed"
    assert creates(outside) == len(accepted)
    await stop(process)
    verified(outside)


def limited(size: int) -> Any:
    """What a child does before it becomes a worker: take no more memory than this."""
    return lambda: resource.setrlimit(resource.RLIMIT_AS, (size, size))


async def worker(place: Place, size: int) -> asyncio.subprocess.Process:
    """`backlane worker` with the deadly types, in so much address space."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "backlane.cli", "worker"),
        cwd=ROOT,
        env={**environment(place), "BACKLANE_APP": "tests.story.deadly:hungry"},
        stderr=subprocess.PIPE,
        preexec_fn=limited(size),
    )


async def test_a_worker_out_of_memory_stops_alone_and_its_job_goes_on(outside: Place) -> None:
    ana = await outside.caller()
    api = await serve(outside, "--no-worker")
    job = await submitted(outside, ana, "hungry")
    starved = await worker(outside, 4 << 30)
    _, told = await asyncio.wait_for(starved.communicate(), 60)
    assert starved.returncode == 1, told
    assert b"out of memory" in told
    assert (await read_job(outside.service.ports, ana, job.id))["status"] == "running"
    async with await client(outside, api) as http:
        assert (await http.get("/v1/jobs")).status_code == 200
    fed = await worker(outside, 64 << 30)
    assert (await finished(outside, ana, job))["status"] == "completed"
    await stop(fed)
    await stop(api)
    assert creates(outside) == 1
    verified(outside)

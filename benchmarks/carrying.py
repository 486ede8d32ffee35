"""Figure 2: the CPU that a job costs Backlane, beside bare scripts that poll the same simulator over HTTP."""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Aim, Figure, Sample, interleave, summary
from benchmarks.load_client import request_bytes
from benchmarks.polling_script import INPUTS, TYPE
from benchmarks.processes import CLI, Server, environment, make_key, run, service_environment, serving, usage


def control(simulator: Server, path: str, body: Any) -> Any:
    """One call of the simulator's control surface; a body makes it an order."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"{simulator.url}/_sim/{path}", data, headers)
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)


def prepare(simulator: Server, shortest: float, longest: float) -> None:
    """The same runs for every contender: the seed decides their lengths in the order of the creates."""
    control(simulator, "reset", {})
    control(simulator, "profile", {"running_seconds": [shortest, longest], "queued_seconds": [0.1, 0.5]})


async def submit_all(port: int, key: str, jobs: int) -> None:
    """One after another on one connection: the submits cost the service what they cost any service."""
    body = {"type": TYPE, "inputs": INPUTS, "lane": "background"}
    request = request_bytes(port, "/v1/jobs", key, body)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(jobs):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        )
        told = await reader.readexactly(length)
        if b" 202 " not in head.splitlines()[0]:
            raise RuntimeError(f"a submit was refused: {told[:300]!r}")
    writer.close()


def await_all(database: Path, jobs: int, until: float) -> None:
    """Watch the file from outside, so that waiting costs the service nothing."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        while time.monotonic() < until:
            rows = dict(connection.execute("SELECT status, count(*) FROM jobs GROUP BY status").fetchall())
            if rows.get("completed", 0) == jobs:
                return
            if rows.get("failed", 0):
                raise RuntimeError(f"jobs failed: {rows}")
            time.sleep(0.25)
    raise RuntimeError("the jobs did not end in time")


def _backlane(simulator: Server, jobs: int, longest: float) -> Sample:
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        settings = service_environment(Path(name), f"{simulator.url}/v1")
        key = make_key(settings)
        with serving([*CLI, "serve"], settings, "/readyz") as service:
            # The scripts import the SDK before they count; Backlane does so at its first job.
            prepare(simulator, 0.1, 0.1)
            asyncio.run(submit_all(service.port, key, 1))
            await_all(Path(name) / "backlane.db", 1, time.monotonic() + 30)
            prepare(simulator, 10.0, longest)
            before, begun = usage(service.pid), time.monotonic()
            asyncio.run(submit_all(service.port, key, jobs))
            await_all(Path(name) / "backlane.db", jobs + 1, begun + longest * 2 + 60)
            after, ended = usage(service.pid), time.monotonic()
    looks = control(simulator, "stats", None)["retrieves"] / jobs
    return _per_job(after.cpu_seconds - before.cpu_seconds, ended - begun, looks, after.rss_mib, jobs)


def _script(schedule: str, simulator: Server, jobs: int, longest: float) -> Sample:
    prepare(simulator, 10.0, longest)
    orders = ["-m", "benchmarks.polling_script", schedule, f"{simulator.url}/v1", str(jobs)]
    told = json.loads(run(orders, environment()))
    return _per_job(told["cpu_seconds"], told["wall_seconds"], told["looks_per_job"], told["rss_mib"], jobs)


def _per_job(cpu: float, wall: float, looks: float, rss: float, jobs: int) -> Sample:
    return {"cpu_ms_per_job": cpu * 1000 / jobs, "wall_seconds": wall, "looks_per_job": looks,
            "cpu_seconds": cpu, "rss_mib": rss}  # fmt: skip


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """Contenders one after another against one simulator, whose CPU is not counted."""
    jobs, longest, rounds = (150, 30.0, 1) if quick else (150, 60.0, 3)
    figure = Figure(f"CPU a job, {jobs} at once, runs of 10 to {longest:g} s in real time")
    with serving([*CLI, "simulator", "--seed", "5"], environment(), "/_sim/stats") as simulator:
        contenders: dict[str, Callable[[], Sample]] = {
            "backlane, API and worker": partial(_backlane, simulator, jobs, longest),
            "script, every 2 s": partial(_script, "fixed", simulator, jobs, longest),
            "script, Backlane's schedule": partial(_script, "following", simulator, jobs, longest),
        }
        samples = interleave(contenders, rounds, told)
    figure.rows = [{"contender": who, **summary(found)} for who, found in samples.items()]
    own, fixed, following = (row["cpu_ms_per_job"] for row in figure.rows)
    figure.aims += [
        Aim("CPU beside the script every 2 s", own / fixed, 0.6),
        Aim("CPU beside the script on Backlane's schedule", own / following, 1.5),
    ]
    figure.notes.append(
        f"{rounds} round(s); starting each process is left out; one account's look budget holds"
    )
    if quick:
        figure.notes.append("quick: runs of 10 to 30 s stand for the full suite's 10 to 60 s")
    return figure

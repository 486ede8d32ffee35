"""Figure 4: the memory of a service with many waiting jobs, its time to ready, and how fast `--help` answers."""

import asyncio
import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.carrying import submit_all
from benchmarks.harness import Aim, Figure, Sample, interleave, summary
from benchmarks.processes import CLI, environment, make_key, service_environment, serving, usage

_SETTLE_SECONDS = 2.0
_WAITING = (0, 10_000, 100_000)
_FAR_AHEAD = 30 * 24 * 3600 * 1000


def _fill(folder: Path, jobs: int) -> None:
    """One job by the API, the others its copies with ids of their own, all due in a month."""
    settings = service_environment(folder)
    key = make_key(settings)
    if not jobs:
        return
    with serving([*CLI, "serve", "--no-worker"], settings, "/readyz") as service:
        asyncio.run(submit_all(service.port, key, 1))
    with contextlib.closing(sqlite3.connect(folder / "backlane.db")) as connection:
        with connection:
            connection.execute("UPDATE jobs SET due_at = due_at + ?, useful_until = useful_until + ?",
                               (_FAR_AHEAD, 2 * _FAR_AHEAD))  # fmt: skip
            for table, named in (("jobs", "id"), ("job_inputs", "job_id")):
                _copy(connection, table, named, jobs - 1)
        counted = connection.execute("SELECT count(*) FROM jobs").fetchone()[0]
    if counted != jobs:
        raise RuntimeError(f"{counted} jobs were made, not {jobs}")


def _copy(connection: sqlite3.Connection, table: str, named: str, copies: int) -> None:
    found = connection.execute(f"SELECT * FROM {table}")
    columns = [str(told[0]) for told in found.description]
    first, place = list(found.fetchone()), columns.index(named)
    marks = ", ".join("?" for _ in columns)
    rows = ([*first[:place], f"job_copy{number:09d}", *first[place + 1 :]] for number in range(copies))
    connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


def _served(folder: Path) -> Sample:
    with serving([*CLI, "serve"], service_environment(folder), "/readyz") as service:
        time.sleep(_SETTLE_SECONDS)
        used = usage(service.pid)
    return {"rss_mib": used.rss_mib, "ready_seconds": service.ready_seconds, "cpu_seconds": used.cpu_seconds}


def _helped() -> Sample:
    command = [str(Path(sys.executable).with_name("backlane")), "--help"]
    begun = time.perf_counter()
    subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL, timeout=60)
    return {"wall_seconds": time.perf_counter() - begun}


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """The databases are built once; the services on them start in turns."""
    rounds = 3 if quick else 7
    figure = Figure("memory of `backlane serve` with its worker, time to ready, and `--help`")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        contenders: dict[str, Callable[[], Sample]] = {}
        for jobs in _WAITING:
            folder = Path(name) / str(jobs)
            folder.mkdir()
            told(f"a database of {jobs:,} jobs")
            _fill(folder, jobs)
            contenders[f"serve, {jobs:,} waiting jobs"] = partial(_served, folder)
        samples = interleave(contenders, rounds, told)
    samples["backlane --help"] = interleave({"backlane --help": _helped}, 5, told)["backlane --help"]
    figure.rows = [{"contender": who, **summary(found)} for who, found in samples.items()]
    figure.aims.append(Aim("backlane --help, seconds", figure.rows[-1]["wall_seconds"], 0.4))
    figure.notes.append(
        f"memory {_SETTLE_SECONDS:g} s after /readyz answered; waiting jobs are due in a month"
    )
    return figure

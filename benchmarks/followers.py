"""Figure 5: followers of live text on one process: from a piece's commit to each client, and the memory each takes."""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Aim, Figure, Sample, interleave, quantile, summary
from benchmarks.processes import ROOT, Server, environment, make_key, service_environment, serving, usage
from benchmarks.submits import BODY

_AT_MOST_SECONDS = 120


def _post(server: Server, path: str, body: Mapping[str, Any], key: str = "") -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    asked = urllib.request.Request(server.url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(asked, timeout=_AT_MOST_SECONDS) as answer:
        return json.load(answer)


def _round(followers: int, jobs: int, pieces: int) -> Sample:
    """A fresh service, its followers in another process, and a piece for every job once a second."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        settings = service_environment(Path(name))
        key = make_key(settings)
        with serving(["-m", "benchmarks.followed"], settings, "/readyz") as server:
            made = [_post(server, "/v1/jobs", BODY, key)["id"] for _ in range(jobs)]
            before = usage(server.pid)
            orders = {"port": server.port, "key": key, "jobs": made, "followers": followers}
            orders |= {"pieces": pieces, "seconds": _AT_MOST_SECONDS}
            client = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.follow_client", json.dumps(orders)],
                env=environment(), cwd=ROOT, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert client.stdout is not None
            client.stdout.readline()
            connected, begun = usage(server.pid), time.perf_counter()
            committed = _post(server, "/go", {"jobs": made, "pieces": pieces, "pause": 1.0})
            came: list[tuple[str, int]] = json.loads(client.communicate(timeout=_AT_MOST_SECONDS)[0])
            after, seconds = usage(server.pid), time.perf_counter() - begun
    if len(came) != followers * pieces:
        raise RuntimeError(f"{len(came)} of {followers * pieces} pieces came")
    late = [(at - committed[piece]) / 1e6 for piece, at in came]
    return {
        "p50_ms": quantile(late, 0.5),
        "p95_ms": quantile(late, 0.95),
        "p99_ms": quantile(late, 0.99),
        "kib_each": (max(connected.rss_mib, after.rss_mib) - before.rss_mib) * 1024 / followers,
        "cpu_share": (after.cpu_seconds - connected.cpu_seconds) / seconds,
    }


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """100 followers beside 2,000; of twenty jobs, as people watch, and all of one, the hardest case."""
    rounds, pieces = (1, 5) if quick else (3, 15)
    figure = Figure("followers of live text on one process, each piece sent after its commit")
    contenders: dict[str, Callable[[], Sample]] = {
        f"{followers:,} followers of {jobs} job{'s' * (jobs > 1)}": partial(_round, followers, jobs, pieces)
        for followers in (100, 2_000)
        for jobs in (20, 1)
    }
    samples = interleave(contenders, rounds, told)
    figure.rows = [{"contender": who, **summary(found)} for who, found in samples.items()]
    for row in figure.rows[2:]:
        figure.aims.append(Aim(f"p95 from commit to client, ms, {row['contender']}", row["p95_ms"], 500))
    figure.notes.append(
        f"{pieces} pieces for every job, one a second; the clients are one process on the same machine"
    )
    return figure

"""Figure 5: what the provider's webhooks bring: requests a job, and how soon after a delivery its job has ended."""

import asyncio
import contextlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.carrying import await_all, control, prepare, submit_all
from benchmarks.harness import Aim, Figure, Sample, interleave, quantile, summary
from benchmarks.processes import CLI, Server, environment, free_port, make_key, service_environment, serving

_SECRET = "whsec_YmVuY2htYXJrcyBzaWduIHdpdGggdGhpcyBzZWNyZXQ="
_PATH = "/v1/providers/openai/webhooks"


def _ends(database: Path) -> dict[str, int]:
    """When each run's job ended, milliseconds since 1970."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return dict(connection.execute("SELECT provider_response_id, finished_at FROM jobs").fetchall())


def _deliveries(simulator: Server) -> dict[str, float]:
    """When each run's first event went out, milliseconds since 1970."""
    log = control(simulator, "log", None)
    return {line["response_id"]: line["at"] * 1000 for line in log if line["call"] == "webhook"}


def _runs_end(simulator: Server, database: Path) -> list[float]:
    """How long after each event went out its job had ended, milliseconds."""
    ends, told = _ends(database), _deliveries(simulator)
    return [ends[run] - told[run] for run in told if run in ends]


def _measured(jobs: int, longest: float, *, told: bool) -> Sample:
    port = free_port()
    orders = [*CLI, "simulator", "--seed", "5"]
    if told:
        orders += ["--webhook-url", f"http://127.0.0.1:{port}{_PATH}", "--webhook-secret", _SECRET]
    with (
        serving(orders, environment(), "/_sim/stats") as simulator,
        tempfile.TemporaryDirectory(prefix="bench-") as name,
    ):
        database = Path(name) / "backlane.db"
        settings = service_environment(Path(name), f"{simulator.url}/v1")
        settings |= {"OPENAI_WEBHOOK_SECRET": _SECRET} if told else {}
        key = make_key(settings)
        with serving([*CLI, "serve"], settings, "/readyz", port=port) as service:
            # From its first event on an account is counted on; the first job ends by looking.
            prepare(simulator, 0.1, 0.1)
            asyncio.run(submit_all(service.port, key, 1))
            await_all(database, 1, time.monotonic() + 30)
            # No reset: the simulator would give its ids a second time, and a known event is no news.
            control(simulator, "profile", {"running_seconds": [5.0, longest]})
            asyncio.run(submit_all(service.port, key, jobs))
            await_all(database, jobs + 1, time.monotonic() + longest * 2 + 60)
            stats = control(simulator, "stats", None)
            delays = _runs_end(simulator, database) if told else []
    sample: Sample = {
        "requests_per_job": stats["calls"] / (jobs + 1),
        "looks_per_job": stats["retrieves"] / (jobs + 1),
    }
    if told:
        sample |= {"end_ms_p50": quantile(delays, 0.5), "end_ms_p95": quantile(delays, 0.95)}
    return sample


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """The same runs with webhooks and without."""
    jobs, longest, rounds = (80, 12.0, 1) if quick else (300, 60.0, 3)
    figure = Figure(f"webhooks in: {jobs} jobs at once, runs of 5 to {longest:g} s in real time")
    contenders: dict[str, Callable[[], Sample]] = {
        "told by webhooks": lambda: _measured(jobs, longest, told=True),
        "looking alone": lambda: _measured(jobs, longest, told=False),
    }
    samples = interleave(contenders, rounds, told)
    figure.rows = [{"contender": who, **summary(found)} for who, found in samples.items()]
    own = figure.rows[0]
    figure.aims += [
        Aim("requests a job with webhooks", own["requests_per_job"], 2.2),
        Aim("p95 from delivery to terminal event, ms", own["end_ms_p95"], 150),
    ]
    figure.notes.append(
        "requests are all calls of the provider's API, creates included; one process serves and works; "
        "the delay runs from the event's sending to the time in the job's last event"
    )
    return figure

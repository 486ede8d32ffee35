"""Figure 6: how soon an approved action goes out, one approval at a time and many at once."""

import asyncio
import contextlib
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from backlane import AsyncClient, Client
from benchmarks.carrying import control, prepare
from benchmarks.harness import Aim, Figure, Sample, interleave, quantile, summary
from benchmarks.processes import CLI, environment, run, service_environment, serving

_CALL = {"name": "issue_refund", "arguments": {"order": "A-17", "amount": "12.50"}}


def _key(settings: dict[str, str], role: str, name: str) -> str:
    return run([*CLI, "keys", "create", "--role", role, "--name", name], settings).strip()


async def _proposals(url: str, key: str, count: int) -> list[str]:
    """Jobs that wait for the approval of one action each; their reviews."""
    async with AsyncClient(url, key) as ana:
        inputs = {"title": "Broken", "text": "Order A-17 came broken."}
        jobs = [await ana.submit("refund", inputs) for _ in range(count)]
        ended = [await ana.wait(job.id, timeout=300) for job in jobs]
    return [job.data["review"]["id"] for job in ended]


def _approve(url: str, key: str, reviews: list[str], *, at_once: bool) -> None:
    """Each review's payload is read first; only the decisions are sent at once."""
    with Client(url, key) as rita:
        hashes = {review: rita.request("GET", f"/v1/reviews/{review}")["payload_hash"] for review in reviews}

        def approve(review: str) -> None:
            body = {"decision": "approve", "payload_hash": hashes[review]}
            rita.request("POST", f"/v1/reviews/{review}/decisions", body=body)

        if at_once:
            with ThreadPoolExecutor(16) as pool:
                list(pool.map(approve, reviews))
            return
        for review in reviews:
            approve(review)
            time.sleep(0.2)  # a person reads between two decisions


def _delays(database: Path, count: int, until: float) -> list[float]:
    """From each decision's row to its dispatch's row, milliseconds; waits for the last."""
    query = (
        "SELECT d.at - c.at FROM dispatches d JOIN decisions c ON c.review_id = d.review_id "
        "WHERE c.decision = 'approve'"
    )
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        while time.monotonic() < until:
            found = [float(row[0]) for row in connection.execute(query).fetchall()]
            if len(found) == count:
                return found
            time.sleep(0.25)
    raise RuntimeError("approved actions were not dispatched in time")


def _measured(count: int, *, at_once: bool) -> Sample:
    with (
        serving([*CLI, "simulator", "--seed", "5"], environment(), "/_sim/stats") as simulator,
        tempfile.TemporaryDirectory(prefix="bench-") as name,
    ):
        prepare(simulator, 0.1, 0.2)
        rule = {"match": {"input_contains": "came broken"}, "then": {"tool_calls": [_CALL]}, "times": count}
        control(simulator, "script", [rule])
        payments = Path(name) / "payments.jsonl"
        settings = service_environment(Path(name), f"{simulator.url}/v1") | {
            "EXAMPLE_PAYMENTS": str(payments)
        }
        ana, rita = _key(settings, "submitter", "ana"), _key(settings, "reviewer", "rita")
        with serving([*CLI, "serve"], settings, "/readyz") as service:
            reviews = asyncio.run(_proposals(service.url, ana, count))
            _approve(service.url, rita, reviews, at_once=at_once)
            delays = _delays(Path(name) / "backlane.db", count, time.monotonic() + 60)
        made = [json.loads(line)["key"] for line in payments.read_text().splitlines()]
    if len(set(made)) != len(made):
        raise RuntimeError("an action was carried out twice")
    return {"dispatch_ms_p50": quantile(delays, 0.5), "dispatch_ms_p95": quantile(delays, 0.95)}


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """The same approvals one at a time and at once."""
    count, rounds = (30, 1) if quick else (60, 3)
    figure = Figure(f"approved actions: {count} jobs, one service process, each action synced to disk")
    contenders: dict[str, Callable[[], Sample]] = {
        "one approval at a time": lambda: _measured(count, at_once=False),
        "all at once": lambda: _measured(count, at_once=True),
    }
    samples = interleave(contenders, rounds, told)
    figure.rows = [{"contender": who, **summary(found)} for who, found in samples.items()]
    figure.aims += [
        Aim(f"p95 from approval to dispatch, ms, {row['contender']}", row["dispatch_ms_p95"], 1000)
        for row in figure.rows
    ]
    figure.notes.append("the delay runs from the decision's row to the committed `dispatching` row")
    return figure

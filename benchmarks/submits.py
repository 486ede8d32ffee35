"""Figure 1: durable submits a second over HTTP, beside a bare route that validates the same and stores nothing."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.harness import Aim, Figure, Sample, interleave, summary
from benchmarks.processes import CLI, Server, environment, make_key, run, service_environment, serving, usage

_CLIENTS = (1, 16, 64)
BODY: dict[str, Any] = {
    "type": "digest",
    "inputs": {"title": "A note", "text": "The lift is broken again. Guests carry 12 bags. " * 8},
}


def _round(server: Server, key: str, clients: int, seconds: float) -> Callable[[], Sample]:
    def measured() -> Sample:
        orders = {"port": server.port, "path": "/v1/jobs", "key": key, "body": BODY}
        before = usage(server.pid)
        given = json.dumps({**orders, "clients": clients, "seconds": seconds})
        sample: Sample = json.loads(run(["-m", "benchmarks.load_client", given], environment()))
        after = usage(server.pid)
        if sample.pop("refused"):
            raise RuntimeError("some requests were refused: the rates would not be comparable")
        return {**sample, "cpu_seconds": after.cpu_seconds - before.cpu_seconds, "rss_mib": after.rss_mib}

    return measured


def measure(quick: bool, told: Callable[[str], None]) -> Figure:
    """Both servers stay up; the load alternates between them at every number of clients."""
    rounds, seconds = (3, 3.0) if quick else (7, 8.0)
    figure = Figure("submits over HTTP, each answered after its commit reached the disk")
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        settings = service_environment(Path(name))
        key = make_key(settings)
        with (
            serving([*CLI, "serve", "--no-worker"], settings, "/readyz") as service,
            serving(["-m", "benchmarks.bare_route"], environment(), "/readyz") as bare,
        ):
            for clients in _CLIENTS:
                contenders = {
                    f"backlane, {clients} clients": _round(service, key, clients, seconds),
                    f"bare route, {clients} clients": _round(bare, key, clients, seconds),
                }
                samples = interleave(contenders, rounds, told)
                rows: list[dict[str, Any]] = [
                    {"contender": who, **summary(found)} for who, found in samples.items()
                ]
                figure.rows += rows
                share: float = rows[0]["per_second"] / rows[1]["per_second"]
                if clients == _CLIENTS[-1]:
                    figure.aims.append(
                        Aim(f"share of the bare route at {clients} clients", share, 0.5, at_least=True)
                    )
    figure.notes.append(f"{rounds} rounds of {seconds:g} s each; CPU and memory are the server's alone")
    return figure

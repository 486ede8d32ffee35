"""A service whose jobs get pieces of text on demand: `POST /go` commits them and answers when each was committed."""

import argparse
import asyncio
import time
from typing import Any

import uvicorn
from fastapi import FastAPI, Request

from backlane.core.event import Event
from backlane.settings import load_settings
from backlane.wiring import Service, build, web


async def _commit(service: Service, jobs: list[str], pieces: int, pause: float) -> dict[str, int]:
    """One piece per job and round, evenly spread over `pause` seconds; when each commit was done, nanoseconds."""
    done: dict[str, int] = {}
    tell = service.store.on_commit
    current = ""

    def noted(job_ids: set[str]) -> None:
        done[current] = time.time_ns()
        tell(job_ids)

    service.store.on_commit = noted
    for number in range(pieces):
        for job_id in jobs:
            current = f"{job_id}/{number}"
            event = Event("output.delta", service.ports.clock.now(), "provider", {"text": f"{current} " * 4})
            await service.store.write(lambda tx, job=job_id, one=event: tx.keep_events(job, [one]))
            await asyncio.sleep(pause / len(jobs))
    service.store.on_commit = tell
    return done


def _with_go(service: Service) -> FastAPI:
    app = web(service)

    async def go(request: Request) -> dict[str, int]:
        orders: Any = await request.json()
        return await _commit(service, orders["jobs"], orders["pieces"], orders["pause"])

    app.add_api_route("/go", go, methods=["POST"])
    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port: int = parser.parse_args().port
    app = _with_go(build(load_settings()))
    uvicorn.run(
        app, port=port, log_level="warning", access_log=False, backlog=4096, timeout_graceful_shutdown=1
    )


if __name__ == "__main__":
    main()

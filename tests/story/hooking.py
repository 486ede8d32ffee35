"""A service that the provider's events reach over real HTTP, and what tests ask of it."""

import contextlib
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from backlane import App
from backlane.simulator.server import Running, running_simulator
from backlane.store.tables_wire import inbox
from backlane.wiring import Service, build, web
from tests.conftest import Place, settings_for
from tests.signing import SECRET, event, signed
from tests.values import small_app

PATH = "/v1/providers/openai/webhooks"
# No look of its own finds an end this soon: what is seen sooner was told.
SELDOM = 60.0


def listening() -> socket.socket:
    """A socket whose port is known before anybody answers on it."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


@contextlib.asynccontextmanager
async def serving(service: Service, at: socket.socket) -> AsyncIterator[None]:
    """The service's API on that socket, in this loop."""
    import asyncio

    app = web(service)
    config = uvicorn.Config(app, log_level="critical", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    at.listen(2048)
    task = asyncio.create_task(server.serve(sockets=[at]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield
    finally:
        server.should_exit = True
        await task


@contextlib.contextmanager
def telling_simulator(at: socket.socket, **more: Any):
    """A provider that tells of ended runs on that socket, and soon tries again."""
    url = f"http://127.0.0.1:{at.getsockname()[1]}{PATH}"
    given = {"speed": 20.0, "webhook_retry_seconds": 0.2, **more}
    with running_simulator(seed=3, webhook_url=url, webhook_secret=SECRET, **given) as simulator:
        yield simulator


@contextlib.asynccontextmanager
async def hooked_place(
    folder: Path, simulator: Running, at: socket.socket, *, types: App | None = None, **more: Any
) -> AsyncIterator[Place]:
    """A working service whose door is open."""
    given = {"openai_webhook_secret": SECRET, "look_first": SELDOM, "look_max": SELDOM, **more}
    chosen = settings_for(folder, simulator, **given)
    service = build(chosen, types=types or small_app(), log=lambda line: None)
    try:
        await service.start_worker()
        async with serving(service, at):
            yield Place(service, simulator, chosen)
    finally:
        await service.drain(grace=5)


async def post(place: Place, body: bytes, headers: dict[str, str]) -> int:
    """One delivery of our own making, past the network; the status it was answered with."""
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        return (await client.post(PATH, content=body, headers=headers)).status_code


async def tell(
    place: Place, response_id: str, webhook_id: str = "wh_1", kind: str = "response.completed"
) -> None:
    """A genuine event about a run."""
    body = event(response_id, kind)
    assert await post(place, body, signed(body, webhook_id)) == 204


def rows(place: Place) -> Sequence[dict[str, Any]]:
    """What lies in the inbox."""
    found = place.service.store.database.read_now(
        lambda connection: connection.execute(inbox.select().order_by(inbox.c.received_at)).mappings().all()
    )
    return [dict(row) for row in found]


def calls(place: Place, kind: str) -> int:
    """How many calls of this kind the provider saw."""
    return sum(line["call"] == kind for line in place.simulator.world.log)

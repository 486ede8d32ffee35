"""A listener of `backlane doctor --live --webhook-url`: what the provider sends while the trial runs arrives here."""

import asyncio
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from backlane.errors import SettingsError
from backlane.provider.trial_webhook import Delivery

if TYPE_CHECKING:
    from starlette.requests import Request

DEFAULT_PORT = 8322
_BODY_AT_MOST = 1_000_000
_KEPT_AT_MOST = 100


class Listener:
    """Implements the Ear protocol over HTTP on this machine."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._came: asyncio.Queue[Delivery] = asyncio.Queue(_KEPT_AT_MOST)

    async def next(self, until: int) -> Delivery | None:
        """The next delivery, or None."""
        try:
            async with asyncio.timeout(max(0.0, until / 1000 - time.time())):
                return await self._came.get()
        except TimeoutError:
            return None

    async def take(self, request: "Request") -> Any:
        """Keep what was sent, if it is of a size that events have."""
        from starlette.responses import Response

        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > _BODY_AT_MOST:
                return Response(status_code=413)
        if not self._came.full():
            self._came.put_nowait(Delivery(dict(request.headers), body))
        return Response(status_code=200)


@asynccontextmanager
async def listening(url: str, port: int | None) -> AsyncGenerator[Listener]:
    """Listen on this machine's `port` while it is open; by itself that of a loopback address, or 8322.

    Raises SettingsError if the port is not free.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    parts = urlsplit(url)
    at = port or (parts.port if parts.scheme == "http" else None) or DEFAULT_PORT
    listener = Listener(url)
    app = Starlette(routes=[Route("/{path:path}", listener.take, methods=["POST"])])
    with _bound(at) as bound:
        server = _server(app)
        serving = asyncio.create_task(server.serve([bound]))
        try:
            yield listener
        finally:
            server.should_exit = True
            await serving


def _server(app: Any) -> Any:
    import uvicorn

    server: Any = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    # Whoever stops the trial stops it whole: the server must not take the signal for itself.
    server.capture_signals = nullcontext
    return server


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        raise SettingsError(
            f"--webhook-port: {port} cannot be listened on ({error}); choose another, and lead --webhook-url there"
        ) from None
    return bound

"""Running the simulator: as a command, or in a thread for tests and the demo. Loopback only unless told otherwise."""

import contextlib
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI

from backlane.simulator.app import create_simulator
from backlane.simulator.world import Switches

_Scope = dict[str, Any]
_Send = Callable[[dict[str, Any]], Awaitable[None]]


class Wire:
    """Gives the app a hold on its connection, so that a fault can really cut it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: _Scope, receive: Any, send: _Send) -> None:
        """Serve one connection's event."""
        transport = getattr(getattr(send, "__self__", None), "transport", None)
        scope["backlane.transport"] = transport

        async def cutting(message: Any) -> None:
            if transport is not None and transport.is_closing():
                return
            if message["type"] == "http.response.body" and "backlane.cut" in scope:
                half = message.get("body", b"")[: scope["backlane.cut"]]
                await send({"type": "http.response.body", "body": half, "more_body": True})
                if transport is not None:
                    transport.close()
                return
            await send(message)

        await self._app(scope, receive, cutting)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(1024)
    return listening


class _Polite(uvicorn.Server):
    """Stops on SIGTERM and SIGINT and lets the process end with its own exit code."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Handle the signals while serving; from a thread there are none to handle."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        former = {
            number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


def _server(app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        Wire(app),
        http="h11",
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
        lifespan="off",
    )
    return _Polite(config)


def serve(
    host: str, port: int, *, seed: int = 0, clock: str = "real", switches: Switches | None = None
) -> int:
    """Run until stopped; the exit code. Says one line on stderr when ready or when it cannot start."""
    try:
        listening = _listen(host, port)
    except OSError as error:
        print(
            f"simulator: cannot listen on {host}:{port}: {error.strerror}; use another --port",
            file=sys.stderr,
        )
        return 1
    taken = listening.getsockname()[1]
    print(f"simulator: http://{host}:{taken}/v1 (seed {seed}, {clock} clock)", file=sys.stderr, flush=True)
    _server(create_simulator(seed=seed, clock=clock, switches=switches)).run(sockets=[listening])
    return 0


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator in a thread."""

    url: str
    app: FastAPI

    @property
    def world(self) -> Any:
        """The simulated provider itself, for its log and stats."""
        return self.app.state.world


@contextlib.contextmanager
def running_simulator(
    *, seed: int = 0, clock: str = "real", port: int = 0, switches: Switches | None = None
) -> Generator[Running]:
    """A simulator on a free loopback port for as long as the block runs."""
    app = create_simulator(seed=seed, clock=clock, switches=switches)
    listening = _listen("127.0.0.1", port)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", app)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()

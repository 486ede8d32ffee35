"""Running the simulator: as a command, or in a thread for tests and the demo. Loopback only unless told otherwise."""

import contextlib
import json
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from backlane.simulator.app import create_simulator
from backlane.simulator.http_delivery import HttpDelivery
from backlane.simulator.replies import TRANSPORT
from backlane.simulator.switches import Switches
from backlane.simulator.world import World


class Wire:
    """Gives the app a hold on its connection, so that a fault can really cut it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's event."""
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await self._app(scope, receive, send)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or its connections wait for delayed acknowledgements: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError:
        listening.close()
        raise
    return listening


class _Polite(uvicorn.Server):
    """Stops on SIGTERM and SIGINT and lets the process end with its own exit code."""

    def __init__(self, config: uvicorn.Config, world: World) -> None:
        super().__init__(config)
        self._world = world

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving, and send nothing more."""
        self._world.webhooks.close()
        await super().shutdown(sockets)
        if isinstance(self._world.deliver, HttpDelivery):
            await self._world.deliver.close()

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
        # The app sends the date of its own clock.
        date_header=False,
        server_header=False,
    )
    return _Polite(config, app.state.world)


def serve(
    host: str = "127.0.0.1",
    port: int = 8399,
    *,
    seed: int = 0,
    clock: Literal["real", "virtual"] = "real",
    switches: Switches | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    **changes: Any,
) -> int:
    """Run until stopped; the exit code. Says one line on stderr when ready or when it cannot start."""
    hook = {"webhook_url": webhook_url, "webhook_secret": webhook_secret}
    try:
        app = create_simulator(seed=seed, clock=clock, switches=switches, **hook, **changes)
    except ValueError as error:
        print(f"simulator: {error}", file=sys.stderr)
        return 1
    try:
        listening = _listen(host, port)
    except OSError as error:
        told = f"simulator: cannot listen on {host}:{port}: {error.strerror}; use another --port"
        print(told, file=sys.stderr)
        return 1
    taken = listening.getsockname()[1]
    ready = f"simulator: http://{host}:{taken}/v1 (seed {seed}, {clock} clock)"
    print(ready, file=sys.stderr, flush=True)
    _server(app).run(sockets=[listening])
    return 0


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator in a thread, and its control surface."""

    url: str
    app: FastAPI

    @property
    def base_url(self) -> str:
        """What a client of the provider is given."""
        return f"{self.url}/v1"

    @property
    def world(self) -> World:
        """The simulated provider itself; read it, but steer it through the control surface."""
        return self.app.state.world

    def control(self, path: str, body: Any = None) -> Any:
        """One call of the control surface: a POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_sim/{path}", data, headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310
            return json.load(reply)

    def log(self) -> list[dict[str, Any]]:
        """The truth log."""
        return self.control("log")

    def stats(self) -> dict[str, Any]:
        """The counts."""
        return self.control("stats")

    def advance(self, seconds: float) -> None:
        """Move the clock on."""
        self.control("clock", {"advance": seconds})

    def script(self, *rules: dict[str, Any]) -> None:
        """What the next matching responses do."""
        self.control("script", list(rules))

    def faults(self, *faults: dict[str, Any]) -> None:
        """Put faults in the air."""
        self.control("faults", list(faults))

    def profile(self, **changes: Any) -> None:
        """Change switches."""
        self.control("profile", changes)

    def reset(self) -> None:
        """Empty everything."""
        self.control("reset", {})


@contextlib.contextmanager
def running_simulator(
    *,
    seed: int = 0,
    clock: Literal["real", "virtual"] = "real",
    port: int = 0,
    switches: Switches | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    **changes: Any,
) -> Generator[Running]:
    """A simulator on a free loopback port for as long as the block runs."""
    hook = {"webhook_url": webhook_url, "webhook_secret": webhook_secret}
    app = create_simulator(seed=seed, clock=clock, switches=switches, **hook, **changes)
    listening = _listen("127.0.0.1", port)
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.002)
        yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}", app)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()

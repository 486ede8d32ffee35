"""Commands that run for long: serve, worker, dev, simulator. SIGTERM drains: creates in flight are awaited."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Generator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from backlane.cli.printing import put, say
from backlane.cli.shedding import said_once_a_second
from backlane.errors import SettingsError

if TYPE_CHECKING:
    from backlane.settings import Settings
    from backlane.wiring import Service


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    no_worker: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Serve the API and, unless --no-worker, work on jobs: backlane serve --port 8321

    Parameters
    ----------
    host: where to listen; BACKLANE_HOST if left out.
    port: where to listen; BACKLANE_PORT if left out.
    no_worker: serve only; a `backlane worker` carries the jobs.
    """
    settings = _settings(host, port)
    return asyncio.run(_serve(settings, with_worker=not no_worker))


def worker() -> int:
    """Carry jobs without serving the API: backlane worker"""
    return asyncio.run(_work(_settings(None, None)))


def simulator(
    *,
    host: str = "127.0.0.1",
    port: int = 8399,
    seed: int = 0,
    clock: Literal["real", "virtual"] = "real",
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
) -> int:
    """Run the provider simulator: backlane simulator --port 8399 --seed 1

    Parameters
    ----------
    host: where to listen.
    port: where to listen.
    seed: the same seed and requests give the same bytes.
    clock: real, or virtual: moved by POST /_sim/clock.
    webhook_url: where the ends of background runs are told; on this machine only.
    webhook_secret: what they are signed with; OPENAI_WEBHOOK_SECRET if left out.
    """
    from backlane.simulator.server import serve as run_simulator

    secret = webhook_secret or os.environ.get("OPENAI_WEBHOOK_SECRET")
    return run_simulator(host, port, seed=seed, clock=clock, webhook_url=webhook_url, webhook_secret=secret)


def dev(*, port: int | None = None) -> int:
    """Serve on this machine with a fresh admin key; a simulator stands in without OPENAI_API_KEY: backlane dev

    Parameters
    ----------
    port: where to listen; BACKLANE_PORT if left out.
    """
    settings = _settings("127.0.0.1", port)
    if settings.app is None:
        raise SettingsError("BACKLANE_APP: set it to your job types, such as examples.jobs:app")
    if settings.openai_api_key is not None or settings.accounts_file is not None:
        return asyncio.run(_serve(settings, with_worker=True, fresh_key=True))
    from backlane.simulator.server import running_simulator

    with running_simulator(seed=1) as simulated:
        os.environ |= {"OPENAI_API_KEY": "sk-simulated", "OPENAI_BASE_URL": f"{simulated.url}/v1"}
        os.environ["BACKLANE_SIMULATED"] = "1"
        say(f"no OPENAI_API_KEY: a simulated provider answers at {simulated.url}/v1")
        return asyncio.run(_serve(_settings("127.0.0.1", port), with_worker=True, fresh_key=True))


def _settings(host: str | None, port: int | None) -> "Settings":
    from backlane.settings import load_settings

    given = {"host": host, "port": port}
    return load_settings(**{name: value for name, value in given.items() if value is not None})


def _require_account(settings: "Settings") -> None:
    from backlane.wiring import read_accounts

    if not any(account.api_key for account in read_accounts(settings).accounts.values()):
        raise SettingsError(
            "OPENAI_API_KEY: is missing; set it, name accounts in BACKLANE_ACCOUNTS_FILE, "
            "or run 'backlane dev' for a simulated provider"
        )


async def _serve(settings: "Settings", *, with_worker: bool, fresh_key: bool = False) -> int:
    import uvicorn

    from backlane.wiring import build, web

    if with_worker:
        _require_account(settings)
    service = build(settings)
    try:
        listening = _listen(settings.host, settings.port)
        app = web(service)
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=5, lifespan="off"
        )
        server = uvicorn.Server(config)
        asyncio.get_running_loop().set_exception_handler(said_once_a_second(say))

        def stop() -> None:
            server.should_exit = True
            service.let_go()
            app.state.context.followers.close()

        if with_worker:
            await service.start_worker(stop)
        else:
            # What reviewers edit is judged here too.
            await service.note_policies()
        if fresh_key:
            await _first_steps(service)
        with _stops(stop), _no_signals(server):
            place = f"http://{settings.host}:{listening.getsockname()[1]}"
            say(f"serving {place}" + ("" if with_worker else " without a worker"))
            if fresh_key:
                put(place)
            await server.serve(sockets=[listening])
    finally:
        await service.drain()
    return _exit_code(service)


async def _work(settings: "Settings") -> int:
    from backlane.wiring import build

    _require_account(settings)
    service = build(settings)
    stopped = asyncio.Event()
    try:
        await service.start_worker(stopped.set)
        with _stops(stopped.set):
            say("working; stop with Ctrl-C or SIGTERM")
            await stopped.wait()
    finally:
        await service.drain()
    return _exit_code(service)


def _exit_code(service: "Service") -> int:
    """0 for a stop that was asked for; a worker that broke says why."""
    failure = service.worker_failure()
    if failure is None:
        return 0
    reason = "out of memory" if isinstance(failure, MemoryError) else f"{type(failure).__name__}: {failure}"
    say(f"the worker stopped: {reason}; its jobs go on at the next start")
    return 1


@contextlib.contextmanager
def _stops(stop: Any) -> Generator[None]:
    """Call `stop` on SIGTERM and SIGINT, for as long as the block runs."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextlib.contextmanager
def _no_signals(server: Any) -> Generator[None]:
    """The signals are ours: the server would raise them again after its end and spoil the exit code."""
    server.capture_signals = contextlib.nullcontext
    yield


def _listen(host: str, port: int) -> Any:
    import socket

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named as TCP, or its connections wait for delayed acknowledgements: 40 ms an answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SettingsError(
            f"BACKLANE_PORT: cannot listen on {host}:{port}: {error.strerror}; use another"
        ) from None
    listening.listen(2048)
    return listening


async def _first_steps(service: "Service") -> None:
    """A fresh admin key, printed once, and some jobs of another person to look at."""
    import secrets

    from backlane.service.access import Caller
    from backlane.service.make_key import make_key
    from backlane.service.seed import seed_jobs

    def admin(tx: Any) -> Any:
        return make_key(
            tx, service.ports, secrets.token_bytes(23), role="admin", workspace="default", name="you"
        )

    made = await service.store.write(admin)
    place = (await service.store.read(lambda tx: tx.workspace("default"))) or {}
    sam = Caller(str(place["id"]), "default", "sam", "person", "submitter", "seed")
    count = await seed_jobs(service.ports, sam)
    if count:
        say(f"{count} jobs of sam were submitted for you to look at")
    put(f"BACKLANE_API_KEY={made.key}")

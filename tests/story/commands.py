"""The command line as somebody at a terminal uses it, against the application served over a real socket."""

import asyncio
import contextlib
import io
import os
import socket
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple

import uvicorn

from backlane.cli.main import run
from tests.conftest import Place


class Told(NamedTuple):
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str


@contextlib.asynccontextmanager
async def served(place: Place) -> AsyncIterator[str]:
    """The address of the place's application while the block runs."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(place.app(), log_level="error", access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving


async def command(environment: Mapping[str, str], *tokens: str) -> Told:
    """Run `backlane` with these words."""
    return await asyncio.to_thread(_command, environment, tokens)


def _command(environment: Mapping[str, str], tokens: tuple[str, ...]) -> Told:
    out, err = io.StringIO(), io.StringIO()
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            run(list(tokens))
    except SystemExit as end:
        return Told(int(end.code or 0), out.getvalue(), err.getvalue())
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Told(0, out.getvalue(), err.getvalue())

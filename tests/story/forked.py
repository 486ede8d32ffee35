"""Worker processes of the stories: each is a fork of one warm parent, which has imported everything already."""

import asyncio
import multiprocessing
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.conftest import Place

_CONTEXT = multiprocessing.get_context("forkserver")
# The last four are imported late by the product, and by every worker.
_CONTEXT.set_forkserver_preload(
    ["tests.story.worker_process", "tests.story.acting_worker", "genai_prices", "httpx2", "openai", "uvicorn"]
)

Main = Callable[[Path, str, str], Awaitable[None]]


async def run_worker(main: Main, place: Place, folder: Path, armed: str = "") -> int:
    """Run a worker in a process of its own until it is done or dead; its exit code, negative for a signal."""
    process = _CONTEXT.Process(target=_alone, args=(main, folder, place.simulator.url, armed))
    process.start()
    await asyncio.to_thread(process.join, 60)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError("the worker did not end")
    return process.exitcode


def _alone(main: Main, folder: Path, provider: str, armed: str) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    asyncio.run(main(folder, provider, armed))  # type: ignore[arg-type]

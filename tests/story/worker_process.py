"""A worker in a process of its own, that may be told to kill itself at a named point."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from backlane.core.storage import Search
from backlane.service.forget_files import forget_files
from backlane.settings import load_settings
from backlane.wiring import build
from tests.story.filed import filed_app


def killer(armed: str):
    """A `point` that stops the process with kill -9 at the nth hit of one name ("" never)."""
    name, _, nth = armed.partition(":")
    left = int(nth or 1)

    def point(here: str) -> None:
        nonlocal left
        if here == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return point


def goes_on(tx: Any) -> bool:
    """Whether a worker still has something to do."""
    places = [place["id"] for place in tx.workspaces()]
    return any(tx.search(Search(workspace=place, statuses=("queued", "running"))) for place in places)


async def main(folder: Path, provider: str, armed: str) -> None:
    """Work until nothing is due any more."""
    settings = load_settings(
        database_url=f"sqlite:///{folder}/backlane.db",
        artifacts_url=f"file:{folder}/artifacts",
        simulated=True,
        unknown_wait=0.2,
        look_first=0.05,
        openai_api_key="sk-test",
        openai_base_url=f"{provider}/v1",
        file_inline_at_most=0,
    )
    service = build(
        settings, types=filed_app(), point=killer(armed), log=lambda line: print(line, flush=True)
    )
    await service.start_worker()
    while await service.store.read(goes_on):
        await asyncio.sleep(0.05)
    while await forget_files(service.ports):
        pass
    await service.drain(grace=5)

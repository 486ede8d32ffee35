"""A worker whose types act on the outside, in a process of its own that may be told to kill itself at a named point."""

import asyncio
from pathlib import Path

from backlane.settings import load_settings
from backlane.wiring import build
from tests.story.action_types import World, acting_app
from tests.story.worker_process import goes_on, killer


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
    )
    types = acting_app(World(folder))
    service = build(settings, types=types, point=killer(armed), log=lambda line: print(line, flush=True))
    await service.start_worker()
    while await service.store.read(goes_on):
        await asyncio.sleep(0.05)
    await service.drain(grace=5)

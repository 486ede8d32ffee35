"""Functions of a job type that hang for ever: others go on beside them, and the process still stops when told to."""

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest

from backlane import App, Request
from backlane.service.access import Caller
from backlane.service.submit import Submission, submit
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import contents, events_of, finished, script, seen, submitted, verified
from tests.story.filed import sent_in
from tests.story.test_processes import ROOT, environment
from tests.story.test_tool_turns import bodies, calls, told
from tests.values import Note

# Set at the end of a test, so that its process can end.
FREED = threading.Event()


def hanging_app() -> App:
    """A type with a tool that never answers and one that does."""
    app = App()

    @app.job("stuck", authority="read_only")
    def stuck(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", input=inputs.text)

    @stuck.tool(timeout="50ms")
    def hang() -> str:
        FREED.wait()
        return ""

    @stuck.tool
    def count(word: str) -> int:
        return len(word)

    @stuck.check
    def is_long(result: Any, job: Any) -> None:
        time.sleep(0)

    return app


hanging = hanging_app()


@pytest.fixture(autouse=True)
def freed() -> Iterator[None]:
    """What hung goes on when the test is over."""
    FREED.clear()
    yield
    FREED.set()


@pytest.fixture
async def stuck(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service whose shared threads are few, as on a small machine."""
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(max_workers=2))
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=hanging_app(), log=lambda line: None)
    yield Place(service, simulator, chosen)
    FREED.set()
    await service.drain(grace=5)


async def goes_on(place: Place, ana: Caller) -> None:
    """A tool, a check, an upload and an artifact, each through the threads of this process."""
    calls(place, ("count", {"word": "otter"}))
    script(place, {"text": "otters " * 10_000})
    view = await finished(place, ana, await submitted(place, ana, "stuck"))
    assert (view["status"], view["failure"]) == ("completed", None)
    assert told(bodies(place)[-1])[-1]["output"] == 5
    assert len((await contents(place, ana, view))["result"]) == 70_000
    assert (await sent_in(place, ana, b"many words " * 10_000, "words.txt")).startswith("art_")


@pytest.mark.timeout(60)
async def test_seven_calls_that_hang_keep_nothing_else_from_working(stuck: Place) -> None:
    await stuck.service.start_worker()
    ana = await stuck.caller()
    calls(stuck, *[("hang", {})] * 7)
    view = await finished(stuck, ana, await submitted(stuck, ana, "stuck"))
    assert (view["status"], view["failure"]["code"]) == ("failed", "tool_failed")
    events = await events_of(stuck, ana, view["id"])
    assert [one["data"]["code"] for one in events if one["type"] == "tool.answered"] == ["tool_timeout"] * 7
    await asyncio.wait_for(goes_on(stuck, ana), 20)
    verified(stuck)


@pytest.mark.timeout(90)
async def test_a_service_with_a_tool_that_hangs_exits_cleanly_on_sigterm(stuck: Place) -> None:
    ana = await stuck.caller()
    calls(stuck, ("hang", {}))
    script(stuck, {"text": "It does not answer."})
    env = environment(stuck) | {"BACKLANE_APP": "tests.story.test_hung_functions:hanging"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backlane.cli", "serve", cwd=ROOT, env=env, stderr=PIPE
    )
    try:
        job, _ = await submit(
            stuck.service.ports, ana, Submission(type="stuck", inputs={"text": "x"}), key=None, body_hash=""
        )
        view = await seen(stuck, ana, job.id, lambda view: view["status"] == "completed")
        assert told(bodies(stuck)[1])[0]["error"] == "The tool did not answer within 0.05 s."
        assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn"]
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

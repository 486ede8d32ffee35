"""Watching from outside: the client and the command show text as it comes, and outlive the server they watch."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane import AsyncClient, Client
from tests.conftest import Place
from tests.story.acts import creates, fault, script, verified
from tests.story.live_acts import RUN, joined
from tests.story.test_processes import ROOT, environment, listening_port, serve

BODY = {"title": "Otters", "text": "Sea otters float on their backs."}


@pytest.fixture
async def ready(outside: Place) -> AsyncIterator[tuple[Place, str, dict[str, str]]]:
    """A place, its key, and an environment; servers are the test's to start."""
    key = await outside.key("root", "admin", "default")
    yield outside, key, environment(outside)


def watched(url: str, key: str, job_id: str, seen: list[dict[str, Any]]) -> None:
    with Client(url, key) as client:
        for event in client.watch(job_id):
            seen.append(event)


async def test_a_watcher_outlives_a_server_that_is_killed_and_one_that_is_stopped(
    ready: tuple[Place, str, dict[str, str]],
) -> None:
    place, key, _ = ready
    script(place, {**RUN, "running_seconds": 15.0})
    server = await serve(place)
    port = await listening_port(server.pid)
    url, seen = f"http://127.0.0.1:{port}", list[dict[str, Any]]()
    async with AsyncClient(url, key) as client:
        job = await client.submit("research-report", BODY, live=True)
    watching = asyncio.create_task(asyncio.to_thread(watched, url, key, job.id, seen))

    while not any(event["type"] == "output.delta" for event in seen):
        assert not watching.done()
        await asyncio.sleep(0.02)
    server.kill()
    await server.wait()
    server = await serve(place, "--port", str(port))
    server.terminate()
    assert await asyncio.wait_for(server.wait(), 40) == 0
    server = await serve(place, "--port", str(port))
    await asyncio.wait_for(watching, 60)
    async with AsyncClient(url, key) as client:
        again = [event async for event in client.watch(job.id)]
        result = await client.get(job.id)
    assert seen == again
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert joined(seen) == result.text == RUN["text"]
    assert creates(place) == 1
    server.terminate()
    assert await asyncio.wait_for(server.wait(), 40) == 0
    verified(place)


async def test_the_command_prints_the_text_and_says_what_is_void(
    ready: tuple[Place, str, dict[str, str]], tmp_path: Path
) -> None:
    place, key, env = ready
    script(place, {**RUN, "text": "Void words. " * 9})
    script(place, RUN)
    fault(place, "failed", code="server_error")
    server = await serve(place)
    url = f"http://127.0.0.1:{await listening_port(server.pid)}"
    command = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backlane.cli", "submit", "research-report", "--input", "title=x",
        "--input", "text=Hello there.", "--live", "--watch",
        cwd=ROOT, env={**env, "BACKLANE_URL": url, "BACKLANE_API_KEY": key},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(command.communicate(), 60)
    assert command.returncode == 0, err
    told = out.decode()
    assert RUN["text"] in told
    assert told.index("Void words.") < told.index("output.reset") < told.index(RUN["text"])
    assert "the text above is void" in err.decode()
    server.terminate()
    assert await asyncio.wait_for(server.wait(), 40) == 0

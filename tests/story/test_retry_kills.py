"""Killed around a retry that goes on from what was kept: one new job, one create, and the model has the text."""

import asyncio
import signal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.service import control
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story import test_processes
from tests.story.acts import creates, script, submitted, verified
from tests.story.steer_types import bodies
from tests.story.test_processes import environment, listening_port, resolve_all, serve, work
from tests.story.test_retries import HALF, cut

JOBS = 16


async def cut_short(place: Place, folder: Path, count: int) -> tuple[Any, list[str]]:
    """The requester, and so many jobs whose answers stopped before their end."""
    ana = await place.caller()
    script(place, cut(HALF), times=count)
    jobs = [(await submitted(place, ana, "digest")).id for _ in range(count)]
    assert await work(place, folder) == 0
    assert creates(place) == count
    return ana, jobs


@pytest.mark.parametrize("armed", ["sending:1", "answered:1", "looked:1"])
async def test_a_worker_killed_in_a_retry_from_partial_buys_it_once(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    ana, [old] = await cut_short(outside, tmp_path, 1)
    made, _ = await control.retry(outside.service.ports, ana, old, start="partial")
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    again, new = await control.retry(outside.service.ports, ana, old, start="partial")
    assert (again.id, new) == (made.id, False)
    assert await work(outside, tmp_path) == 0
    if await resolve_all(outside, [made.id]):
        assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, made.id)
    assert (view["status"], view["retry_of"]) == ("completed", old)
    assert [body["input"][1]["content"] for body in bodies(outside)[1:]] == [HALF]
    assert creates(outside) == 2
    assert outside.simulator.world.stats()["duplicates"] == 0
    verified(outside)


async def ask_all(url: str, key: str, jobs: list[str], made: dict[str, str], enough: asyncio.Event) -> None:
    """Ask for each from four clients at once; what was answered is noted, what was not is unknown."""
    waiting = list(jobs) * 2

    async def client() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
            while waiting:
                old = waiting.pop()
                try:
                    answer = await http.post(f"/v1/jobs/{old}/retry", json={"from": "partial"})
                except httpx2.TransportError:
                    continue
                assert answer.status_code in (200, 202), answer.text
                assert made.setdefault(old, answer.json()["id"]) == answer.json()["id"]
                if len(made) > JOBS // 3:
                    enough.set()

    await asyncio.gather(*(client() for _ in range(4)))


async def test_an_api_killed_while_jobs_are_made_again_makes_each_once(
    outside: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {**environment(outside), "BACKLANE_APP": "tests.story.deadly:hungry"}
    monkeypatch.setattr(test_processes, "environment", lambda place: here)
    ana, jobs = await cut_short(outside, tmp_path, JOBS)
    key, made, enough = await outside.key(), dict[str, str](), asyncio.Event()
    first = await serve(outside, "--no-worker")
    url = f"http://127.0.0.1:{await listening_port(first.pid)}"
    asking = asyncio.create_task(ask_all(url, key, jobs, made, enough))
    await asyncio.wait_for(enough.wait(), 30)
    first.kill()
    await first.wait()
    await asking
    again = await serve(outside, "--no-worker")
    await ask_all(f"http://127.0.0.1:{await listening_port(again.pid)}", key, jobs, made, enough)
    again.terminate()
    assert await asyncio.wait_for(again.wait(), 40) == 0
    assert await work(outside, tmp_path) == 0
    views = [await read_job(outside.service.ports, ana, made[old]) for old in jobs]
    assert [(view["status"], view["retry_of"]) for view in views] == [("completed", old) for old in jobs]
    assert len(set(made.values())) == JOBS
    assert creates(outside) == 2 * JOBS
    verified(outside)

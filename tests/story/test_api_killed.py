"""The API is killed while clients submit: what was accepted is there, and asking again makes no second job."""

import asyncio
from pathlib import Path

import httpx2

from backlane.simulator.server import Running
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.test_processes import listening_port, serve
from tests.values import small_app

KEYS = [f"key-{n}" for n in range(120)]
BODY = {"type": "digest", "inputs": {"title": "x", "text": "A sentence about otters."}}


async def submit_all(url: str, key: str, accepted: dict[str, str], enough: asyncio.Event, at: int) -> None:
    """Submit every key from eight clients at once; what was answered is noted, what was not is unknown."""
    waiting = list(reversed(KEYS))

    async def client() -> None:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=20) as http:
            while waiting:
                name = waiting.pop()
                try:
                    answer = await http.post("/v1/jobs", json=BODY, headers={"Idempotency-Key": name})
                except httpx2.TransportError:
                    continue
                assert answer.status_code in (200, 202), answer.text
                assert accepted.setdefault(name, answer.json()["id"]) == answer.json()["id"]
                if len(accepted) >= at:
                    enough.set()

    await asyncio.gather(*(client() for _ in range(8)))


async def test_a_killed_api_loses_no_accepted_job_and_makes_none_twice(
    tmp_path: Path, simulator: Running
) -> None:
    place = Place(
        service := build(settings_for(tmp_path, simulator), types=small_app(), log=lambda line: None),
        simulator,
        settings_for(tmp_path, simulator),
    )
    key, accepted, enough = await place.key(), dict[str, str](), asyncio.Event()
    first = await serve(place, "--no-worker")
    url = f"http://127.0.0.1:{await listening_port(first.pid)}"
    submitting = asyncio.create_task(submit_all(url, key, accepted, enough, 40))
    await enough.wait()
    first.kill()
    await first.wait()
    await submitting
    assert 40 <= len(accepted) < len(KEYS)
    again = await serve(place, "--no-worker")
    await submit_all(f"http://127.0.0.1:{await listening_port(again.pid)}", key, accepted, enough, 0)
    again.terminate()
    assert await asyncio.wait_for(again.wait(), 40) == 0
    assert len(set(accepted.values())) == len(KEYS)
    submits = [{"key": name, "body_hash": "b", "job": job, "outcome": "ok"} for name, job in accepted.items()]
    evidence = collect(service.store.database, submits=submits)
    assert len(evidence.jobs) == len(KEYS)
    assert check(evidence).ok
    await service.drain()

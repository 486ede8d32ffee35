"""The same canaries on the command line, in what is exported, and in the answer that somebody waited for."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.release.kinds import Thing, canary_app, marked
from tests.release.lives import People, lead
from tests.release.rule import OUTPUT, may_find
from tests.story.acts import script
from tests.story.commands import command, served


@pytest.fixture
async def place(tmp_path: Path, simulator: Running) -> Any:
    """A service with the canary types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=canary_app(tmp_path), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


def shown(text: str) -> set[Thing]:
    """The canaries in what was printed, escaped or not."""
    return {thing for thing in Thing if thing in text or f"\\u{ord(thing):04x}" in text}


@pytest.mark.parametrize("state", ["approved", "edited", "rejected", "canceled", "failed"])
async def test_no_command_prints_more_than_the_rule_allows(place: Place, state: str) -> None:
    people = People(place)
    life = await lead(place, people, "draft", state)
    job = life.job.id
    commands = (
        ["jobs"],
        ["jobs", "--json"],
        ["show", job],
        ["show", job, "--json"],
        ["watch", job],
        ["cases"],
    )
    async with served(place) as url:
        for who, name, role in (
            ("ana", "ana", "submitter"),
            ("sue", "sue", "support"),
            ("olga", "olga", "operator"),
        ):
            here = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await place.key(name, role)}
            found = set[Thing]()
            for words in commands:
                told = await command(here, *words)
                found |= shown(told.out + told.err)
            assert found <= may_find(who, "draft", state), (who, found)
        here = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await place.key("adam", "admin")}
        exported = await command(here, "export", "audit")
    assert exported.code == 0
    assert not shown(exported.out) & (OUTPUT | {Thing.INPUT}), "the log of who did what holds no contents"


async def test_waiting_for_a_gated_job_shows_nothing_of_it(place: Place) -> None:
    script(
        place, {"text": marked(Thing.TEXT, "The answer", 333), "usage": {"output_tokens": 73_456}}, times=None
    )
    headers = {"Authorization": f"Bearer {await place.key()}", "Prefer": "wait=20", "Idempotency-Key": "k"}
    body = {"type": "draft", "inputs": {"text": "x"}, "live": True}
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        for _ in range(2):
            answer = await client.post("/v1/jobs", json=body)
            assert (answer.status_code, answer.json()["status"]) == (200, "needs_review")
            assert not shown(answer.text) and "73456" not in answer.text
        open_one = await client.post(
            "/v1/jobs", json={**body, "type": "read"}, headers={"Idempotency-Key": "l"}
        )
        assert open_one.json()["status"] == "completed" and "73456" in open_one.text

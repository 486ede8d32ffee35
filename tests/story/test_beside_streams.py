"""What people and the provider do beside a stream that is being read: the run goes on, nothing is taken up anew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from backlane.core.job import Job
from backlane.service import annotate, bulk, escalate, mark
from backlane.service.bulk import Bulk
from backlane.service.change_case import CaseChange, change_case
from backlane.service.open_case import open_case
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.signing import SECRET
from tests.story.acts import contents, creates, finished, script, seen, submitted, verified
from tests.story.hooking import tell
from tests.story.live_acts import events, joined, types_of
from tests.story.steer_types import WORDS, steer_app, talking
from tests.story.test_processes import environment, serve

Deed = Callable[[Place, Job], Awaitable[None]]


@pytest.fixture
async def steering(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with interactive types whose worker runs, and whose door for the provider's events is open."""
    chosen = settings_for(tmp_path, simulator, openai_webhook_secret=SECRET)
    service = build(chosen, types=steer_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


async def _held(place: Place, job: Job) -> None:
    olga = await place.caller("olga", "operator")
    await mark.hold(place.service.ports, olga, job.id, "a court asks")
    await mark.unhold(place.service.ports, olga, job.id)
    await mark.hold(place.service.ports, olga, job.id, "once more")


async def _escalated(place: Place, job: Job) -> None:
    ana = await place.caller()
    await escalate.escalate(place.service.ports, ana, job.id, "it takes long")


async def _noted(place: Place, job: Job) -> None:
    ana = await place.caller()
    await annotate.annotate(place.service.ports, ana, job.id, "called them", for_requester=True)


async def _in_bulk(place: Place, job: Job) -> None:
    olga = await place.caller("olga", "operator")
    for action in ("hold", "release", "escalate"):
        asked = Bulk(action=action, reason="all of that day")
        told = await bulk.in_bulk(place.service.ports, olga, asked, ids=[job.id], search=None)
        assert told["done"] == 1, told


async def _cared_for(place: Place, job: Job) -> None:
    olga = await place.caller("olga", "operator")
    case, _ = await open_case(place.service.ports, olga, job.id, "the customer called", "soon")
    for change in ({"owner": "olga"}, {"state": "closed"}):
        asked = CaseChange(given=frozenset(change), **change)
        await change_case(place.service.ports, olga, case["id"], asked)


async def _told(place: Place, job: Job) -> None:
    view = await read_job(place.service.ports, await place.caller(), job.id)
    await tell(place, view["attempts"][0]["provider_response_id"])


DEEDS: dict[str, Deed] = {
    "hold": _held, "escalate": _escalated, "note": _noted, "bulk": _in_bulk, "case": _cared_for,
    "an early event": _told,
}  # fmt: skip


@pytest.mark.parametrize("deed", list(DEEDS))
@pytest.mark.parametrize("lane", ["interactive", "background"])
async def test_what_is_done_beside_a_stream_does_not_touch_it(steering: Place, lane: str, deed: str) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "running_seconds": 1.5})
    job = await submitted(steering, ana, "other-way-round", lane=lane, live=True)
    await talking(steering, ana, job, pieces=2)
    await DEEDS[deed](steering, job)
    told = await talking(steering, ana, job, pieces=3)
    view = await finished(steering, ana, job)
    whole = await events(steering, ana, job.id)
    assert (view["status"], len(view["attempts"])) == ("completed", 1)
    assert joined(whole) == (await contents(steering, ana, view))["result"] == WORDS["text"]
    assert "output.reset" not in types_of({"told": whole})
    assert joined(told) and joined(whole).startswith(joined(told))
    stats = steering.simulator.world.stats()
    assert (stats["creates"], stats["streams"], stats["retrieves"]) == (1, 0, 0)
    verified(steering)


@pytest.mark.parametrize(("lane", "ends_as"), [("interactive", "completed"), ("background", "canceled")])
async def test_a_second_purchase_found_meanwhile_is_followed_and_the_stream_is_not_torn_off(
    steering: Place, lane: str, ends_as: str
) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "running_seconds": 2.5})
    job = await submitted(steering, ana, "other-way-round", lane=lane, live=True)
    await talking(steering, ana, job, pieces=2)
    view = await read_job(steering.service.ports, ana, job.id)
    script(steering, {"running_seconds": 500 if lane == "background" else 0.1})
    named = {"backlane_job": job.id, "backlane_attempt": view["attempts"][0]["id"]}
    second = await asyncio.to_thread(_bought, steering, named, lane == "background")
    await tell(steering, second)
    view = await seen(
        steering, ana, job.id, lambda one: [a["state"] for a in one["attempts"]] == ["completed", ends_as]
    )
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert joined(await events(steering, ana, job.id)) == WORDS["text"]
    assert view["attempts"][1]["provider_response_id"] == second
    assert creates(steering) == 2
    verified(steering)


async def test_on_sigterm_a_held_run_ends_first_and_the_exit_is_clean(
    outside: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {"BACKLANE_APP": "tests.story.steer_types:steered"}
    monkeypatch.setattr("tests.story.test_processes.environment", lambda place: environment(place) | changes)
    ana = await outside.caller()
    script(outside, {**WORDS, "running_seconds": 2.5})
    process = await serve(outside)
    job = await submitted(outside, ana, "chat")
    await talking(outside, ana, job)
    process.terminate()
    assert await asyncio.wait_for(process.wait(), 40) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert (view["status"], view["phase"]) == ("completed", None)
    assert joined(await events(outside, ana, job.id)) == WORDS["text"]
    assert creates(outside) == 1
    verified(outside)


def _bought(place: Place, metadata: dict[str, str], background: bool) -> str:
    """A run that somebody bought in the name of an attempt."""
    with openai.OpenAI(
        api_key="sk-test-canary-5f2d", base_url=f"{place.simulator.url}/v1", max_retries=0
    ) as client:
        made: Any = client.responses.create(
            model="gpt-6-luna", input="otters", background=background, metadata=metadata
        )
    return str(made.id)

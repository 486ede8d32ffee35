"""What happens in every story of actions: the model proposes, a person decides, the world is counted."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.service.access import Caller
from backlane.service.decide import Decided, decide
from backlane.service.read import read_job
from backlane.service.show_review import read_review
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.action_types import World, acting_app
from tests.story.acts import script, seen, submitted

REFUND = {"order": "o-17", "amount": "12.50"}


def proposes(place: Place, *arguments: dict[str, Any], name: str = "issue_refund", **more: Any) -> None:
    """The next run calls the action with each of these."""
    calls = [{"name": name, "arguments": one} for one in arguments]
    script(place, {"tool_calls": calls, **more})


async def waits(place: Place, caller: Caller, job: Job, phase: str = "action") -> dict[str, Any]:
    """The job, once a person is asked in this phase."""

    def asked(view: dict[str, Any]) -> bool:
        ended = view["status"] in ("completed", "failed", "canceled", "expired")
        assert not ended or phase is None, view["failure"] or view["status"]
        return (view["status"], view["phase"]) == ("needs_review", phase)

    return await seen(place, caller, job.id, asked)


async def asked_for(
    place: Place,
    ana: Caller,
    *arguments: dict[str, Any],
    type_name: str = "refund",
    name: str = "issue_refund",
    **more: Any,
) -> tuple[Job, dict[str, Any]]:
    """A job whose first action waits for its approval, and the review as a reviewer sees it."""
    proposes(place, *(arguments or (REFUND,)), name=name, **more)
    job = await submitted(place, ana, type_name)
    view = await waits(place, ana, job)
    return job, await review_of(place, view)


async def review_of(place: Place, view: dict[str, Any]) -> dict[str, Any]:
    """The job's newest review, as a reviewer sees it."""
    rita = await place.caller("rita", "reviewer")
    return await read_review(place.service.ports, rita, view["review"]["id"])


async def approve(place: Place, review: dict[str, Any], by: Caller | None = None, **more: Any) -> None:
    """Approve exactly what this review shows."""
    rita = by or await place.caller("rita", "reviewer")
    answer = Decided(
        decision="approve", payload_hash=review["payload_hash"], has_edits="edits" in more, **more
    )
    await decide(place.service.ports, rita, review["id"], answer)


async def reject(place: Place, review: dict[str, Any]) -> None:
    """Reject what this review shows."""
    rita = await place.caller("rita", "reviewer")
    answer = Decided(decision="reject", payload_hash=review["payload_hash"], notes="no")
    await decide(place.service.ports, rita, review["id"], answer)


async def as_seen_by_olga(place: Place, job: Job) -> dict[str, Any]:
    """The job with nothing closed."""
    return await read_job(place.service.ports, await place.caller("olga", "operator"), job.id)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The outside world of one story."""
    return World(tmp_path)


@pytest.fixture
async def acting(tmp_path: Path, simulator: Running, world: World) -> AsyncIterator[Place]:
    """A service with acting types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=acting_app(world), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    world.holds.set()
    await service.drain(grace=5)


def done(view: dict[str, Any]) -> bool:
    """Whether the job has ended."""
    return view["status"] in ("completed", "failed", "canceled", "expired")


def told(place: Place) -> list[dict[str, Any]]:
    """What the newest run was told of the calls before it."""
    newest = list(place.simulator.world.runs.values())[-1]
    return [json.loads(one["output"]) for one in newest.body["input"]]

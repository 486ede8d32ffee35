"""Actions: proposed by the model, approved byte by byte by a person, carried out once, told to the model."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import REFUND, approve, as_seen_by_olga, asked_for, proposes, reject, review_of, waits
from tests.story.action_types import World, acting_app
from tests.story.acts import contents, creates, ended, events_of, finished, script, seen, submitted, verified


@pytest.fixture
def world(tmp_path: Path) -> World:
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
    return view["status"] in ("completed", "failed", "canceled", "expired")


async def test_an_approved_action_is_carried_out_once_and_its_receipt_goes_back_to_the_model(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    assert world.calls == []
    assert (review["kind"], review["role"], review["separate"]) == ("action", "reviewer", True)
    payload = review["payload"]
    assert payload["arguments"] == {"order": "o-17", "amount": "12.5", "how": "plainly"}
    assert (payload["type"], payload["target"], payload["job"]) == ("issue_refund", "refund", job.id)
    script(acting, {"text": "Your money is on its way."})
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["failure"]) == ("completed", None)
    [action] = view["actions"]
    assert (action["state"], action["origin"], action["settled_by"]) == ("succeeded", "model", "receipt")
    assert world.effects() == [(action["key"], "o-17")]
    assert world.calls == [action["key"]]
    told = [one for one in list(acting.simulator.world.runs.values())[-1].body["input"]]
    said = json.loads(told[0]["output"])
    assert (said["done"], said["receipt"]["id"]) == (True, "re_o-17")
    held = await contents(acting, ana, view)
    assert json.loads(held["record"]) == {
        "system": "payments", "type": "refund", "id": "re_o-17", "url": "https://pay.example.test/o-17",
    }  # fmt: skip
    assert "money" in held["result"]
    assert view["outcome"]["anything_sent"] is True
    assert creates(acting) == 2
    verified(acting)

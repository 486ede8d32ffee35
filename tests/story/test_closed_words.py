"""Words beside actions, and the names of remote tools, stay closed like everything else that is foreign."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane import App, Receipt, Request, Review
from backlane import policy as policies
from backlane.core.job import Job
from backlane.errors import AwaitingReview, InvalidRequest
from backlane.policy import Answers, Asked
from backlane.service.access import Caller
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import acting, approve, done, review_of, waits, world
from tests.story.action_types import Refund, World, receipt
from tests.story.acts import events_of, script, seen, submitted, verified
from tests.story.test_changes import SECOND
from tests.story.test_decisions import content
from tests.values import Digest, Note

__all__ = ["acting", "world"]  # fixtures
WORDS = "I wrote what nobody asked for."


def allowed(asked: Asked) -> Answers:
    """Every result may go out."""
    return policies.Allow()


def secret(inputs: Note, result: Any) -> bool:
    """Whether a result is sensitive."""
    return "secret" in str(result)


def spoken_app(world: World) -> App:
    """Types that end with their actions and have a say about what is written: `policed-end`, `hooked-end`."""
    app = App()
    for name in ("policed-end", "hooked-end"):

        @app.job(name, authority="external_effect", finish_after_actions=True, review=Review())
        def spoken(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", instructions="Help.", input=inputs.text, output=Digest)

        @spoken.action(timeout="4s")
        async def pay(args: Refund, *, key: str) -> Receipt:
            world.effect(key, args.order)
            return receipt(args.order)

        if name == "policed-end":
            spoken.policy(over="output")(allowed)
        else:
            spoken.sensitive(over="output")(secret)
    return app


@pytest.fixture
async def speaking(tmp_path: Path, simulator: Running, world: World) -> AsyncIterator[Place]:
    """A service with these types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=spoken_app(world), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


async def spoke(place: Place, ana: Caller, type_name: str, text: str) -> Job:
    """A job that wrote this beside its action, which happened."""
    item = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    said = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [item]}
    call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": "call_1", "name": "pay"}
    script(place, {"output": [said, {**call, "arguments": '{"order": "o-17", "amount": "1"}'}]})
    job = await submitted(place, ana, type_name)
    await approve(place, await review_of(place, await waits(place, ana, job)))
    return job


@pytest.mark.parametrize("type_name", ["policed-end", "hooked-end"])
async def test_words_that_no_policy_and_no_hook_could_read_are_looked_at_by_a_person(
    speaking: Place, world: World, type_name: str
) -> None:
    ana = await speaking.caller()
    job = await spoke(speaking, ana, type_name, WORDS)
    view = await waits(speaking, ana, job, "output")
    assert world.orders() == ["o-17"]
    with pytest.raises(AwaitingReview):
        await content(speaking, ana, view, "partial")
    review = await review_of(speaking, view)
    with pytest.raises(InvalidRequest):
        await approve(speaking, review)
    await approve(speaking, review, edits=json.loads(SECOND))
    view = await seen(speaking, ana, job.id, done)
    assert (view["status"], json.loads(await content(speaking, ana, view))) == (
        "completed",
        json.loads(SECOND),
    )
    verified(speaking, world.log())


async def test_words_that_the_policy_could_read_and_allowed_need_nobody(
    speaking: Place, world: World
) -> None:
    ana = await speaking.caller()
    job = await spoke(speaking, ana, "policed-end", SECOND)
    view = await seen(speaking, ana, job.id, done)
    assert (view["status"], json.loads(await content(speaking, ana, view))) == (
        "completed",
        json.loads(SECOND),
    )
    verified(speaking, world.log())


async def test_a_remote_tools_own_name_is_closed_in_events_until_its_release(
    acting: Place, world: World
) -> None:
    ana, rita = await acting.caller(), await acting.caller("rita", "reviewer")
    script(acting, {"mcp": [{"server_label": "crm", "name": "close_ticket", "arguments": {"ticket": 7}}]})
    job = await submitted(acting, ana, "remote")
    review = await review_of(acting, await waits(acting, ana, job))
    shown = [await read_job(acting.service.ports, ana, job.id), await events_of(acting, ana, job.id)]
    assert "close_ticket" not in json.dumps(shown)
    assert "close_ticket" in json.dumps(await events_of(acting, rita, job.id))
    await approve(acting, review)
    await seen(acting, ana, job.id, done)
    [proposed] = [one for one in await events_of(acting, ana, job.id) if one["type"] == "action.proposed"]
    assert proposed["data"]["type"] == "close_ticket"
    verified(acting, [])

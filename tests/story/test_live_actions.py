"""A live job that acts: what it says beside its proposals is followed, kept closed, and released by its last action."""

import json
from typing import Any

import pytest

from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, done, review_of, world
from tests.story.action_types import World
from tests.story.acts import contents, fault, script, seen, submitted, verified
from tests.story.live_acts import events, joined

__all__ = ["acting", "world"]
WORDS = "I pay order o-17 back, as the rules for late parcels say. " * 4


def asks_anew(view: dict[str, Any], decided: list[str]) -> bool:
    """Whether a person is asked about an action that nobody has decided on."""
    return view["status"] == "needs_review" and view["review"]["id"] not in decided


def refund_of(order: str) -> dict[str, Any]:
    """A call that proposes to pay this order back."""
    arguments = json.dumps({**REFUND, "order": order})
    call = {"name": "issue_refund", "arguments": arguments, "status": "completed"}
    return {"type": "function_call", "id": f"fc_{order}", "call_id": f"call_{order}", **call}


def speaks_and_proposes(place: Place, *orders: str) -> None:
    """The next run says WORDS and proposes to pay these orders back."""
    said = {"type": "output_text", "text": WORDS, "annotations": []}
    spoken = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [said]}
    items = [spoken, *(refund_of(order) for order in orders)]
    script(place, {"output": items, "queued_seconds": 0.02, "running_seconds": 0.3})


@pytest.mark.parametrize("count", [1, 2])
async def test_the_words_beside_the_last_action_are_the_live_text_and_the_result(
    acting: Place, world: World, count: int
) -> None:
    ana, rita = await acting.caller(), await acting.caller("rita", "reviewer")
    orders = [f"o-{17 + n}" for n in range(count)]
    speaks_and_proposes(acting, *orders)
    job = await submitted(acting, ana, "no-more-words", live=True)
    decided: list[str] = []
    for _ in range(count):
        view = await seen(acting, ana, job.id, lambda view: asks_anew(view, decided))
        assert joined(await events(acting, rita, job.id)) == WORDS
        assert "parcels" not in json.dumps(await events(acting, ana, job.id))
        await approve(acting, await review_of(acting, view))
        decided.append(view["review"]["id"])
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], len(view["attempts"]), world.orders()) == ("completed", 1, orders)
    told = await events(acting, ana, job.id)
    kinds = [event["type"] for event in told]
    assert joined(told) == WORDS
    assert kinds.count("output.final") == 1
    assert "output.reset" not in kinds
    assert kinds[-1] == "job.released"
    assert (await contents(acting, ana, view))["result"] == WORDS
    verified(acting, world.log())


async def test_words_that_a_broken_stream_lost_are_made_good_by_the_last_action(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    fault(acting, "drop_stream", after=5, call="create")
    fault(acting, "expired_cursor", times=None)
    speaks_and_proposes(acting, "o-17")
    job = await submitted(acting, ana, "no-more-words", live=True)
    view = await seen(acting, ana, job.id, lambda view: asks_anew(view, []))
    await approve(acting, await review_of(acting, view))
    view = await seen(acting, ana, job.id, done)
    told = await events(acting, ana, job.id)
    assert joined(told) == WORDS == (await contents(acting, ana, view))["result"]
    assert [event["type"] for event in told].count("output.final") == 1
    verified(acting, world.log())

"""Addresses in an action's arguments: what they show could change after the approval, so they are bound or refused."""

import pytest

from backlane.errors import InvalidRequest
from tests.conftest import Place
from tests.story.acting import (
    REFUND,
    acting,
    approve,
    asked_for,
    done,
    proposes,
    review_of,
    told,
    waits,
    world,
)
from tests.story.action_types import World
from tests.story.acts import creates, script, seen, submitted, verified

__all__ = ["acting", "world"]  # fixtures
ADDRESSED = {**REFUND, "order": "https://shop.example.test/o-17"}


async def test_an_address_that_nothing_binds_is_refused_and_the_model_told(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    proposes(acting, ADDRESSED)
    script(acting, {"text": "I cannot."})
    job = await submitted(acting, ana, "refund")
    view = await waits(acting, ana, job, "output")
    assert (view["actions"], creates(acting), world.calls) == ([], 2, [])
    [said] = told(acting)
    assert "does not bind what it shows" in said["error"]
    verified(acting, world.log())


async def test_a_reviewers_edit_brings_in_no_address_either(acting: Place, world: World) -> None:
    ana = await acting.caller()
    _, review = await asked_for(acting, ana)
    with pytest.raises(InvalidRequest, match="does not bind what it shows"):
        await approve(acting, review, edits=ADDRESSED)
    assert world.calls == []


ELSEWHERE = {"server_label": "crm", "name": "fetch", "arguments": {"page": "shop.example.test/terms.pdf"}}


async def test_a_remote_call_to_an_address_is_refused_and_the_model_told(acting: Place) -> None:
    ana = await acting.caller()
    script(acting, {"mcp": [ELSEWHERE]})
    script(acting, {"text": "I cannot."})
    job = await submitted(acting, ana, "remote")
    view = await waits(acting, ana, job, "output")
    assert (view["actions"], creates(acting)) == ([], 2)
    *_, said = list(acting.simulator.world.runs.values())[-1].body["input"]
    assert (said["type"], said["approve"]) == ("mcp_approval_response", False)
    assert "nothing binds what it shows" in said["reason"]
    verified(acting)


async def test_a_type_may_let_remote_calls_go_to_any_address(acting: Place) -> None:
    ana = await acting.caller()
    script(acting, {"mcp": [ELSEWHERE]})
    job = await submitted(acting, ana, "remote-anywhere")
    review = await review_of(acting, await waits(acting, ana, job))
    assert review["payload"]["arguments"] == ELSEWHERE["arguments"]
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["actions"][0]["state"]) == ("completed", "succeeded")
    verified(acting, [])


@pytest.mark.parametrize(
    "order", ["www.shop.example.test", "//shop.example.test/o-17", "/srv/orders/o-17.pdf"]
)
async def test_an_address_without_its_scheme_is_one_too(acting: Place, order: str) -> None:
    _, review = await asked_for(acting, await acting.caller())
    with pytest.raises(InvalidRequest, match="does not bind what it shows"):
        await approve(acting, review, edits={**REFUND, "order": order})

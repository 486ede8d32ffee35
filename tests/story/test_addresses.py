"""Addresses in an action's arguments: what they show could change after the approval, so they are bound or refused."""

import pytest

from backlane.errors import InvalidRequest
from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, asked_for, proposes, told, waits, world
from tests.story.action_types import World
from tests.story.acts import creates, script, submitted, verified

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

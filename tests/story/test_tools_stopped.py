"""A tool at work when its job is canceled: it is stopped, nobody waits for its time-out, and its answer is dropped."""

import asyncio
from collections.abc import Callable

import pytest

from backlane.service import control
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acts import creates, events_of, finished, seen, submitted, verified
from tests.story.test_beside_streams import DEEDS
from tests.story.test_tool_turns import calls
from tests.story.tool_types import Ledger


async def until(true: Callable[[], bool]) -> None:
    """Wait for something that this process will see."""
    for _ in range(1500):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came")


async def test_tools_at_work_and_tools_in_line_are_stopped_by_a_cancel(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    calls(helping, *[("hold", {"name": f"n{number}"}) for number in range(6)])
    job = await submitted(helping, ana, "helped")
    await until(lambda: len(ledger.calls) == 4)
    await control.cancel(helping.service.ports, ana, job.id, "enough")
    view = await finished(helping, ana, job)
    assert view["status"] == "canceled"
    await until(lambda: len(ledger.stopped) == 4)
    # Its place in the worker is free again, though each of the tools might have run for half a minute.
    await until(lambda: not helping.service.carrier._in_flight)  # pyright: ignore[reportPrivateUsage]
    assert ledger.names() == ["hold"] * 4
    told = await events_of(helping, ana, job.id)
    assert "tool.answered" not in [event["type"] for event in told]
    assert creates(helping) == 1
    verified(helping)


async def test_a_blocking_tool_cannot_be_stopped_and_its_answer_is_dropped(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    calls(helping, ("block", {"name": "x"}))
    job = await submitted(helping, ana, "helped")
    await until(lambda: ledger.names() == ["block"])
    await control.cancel(helping.service.ports, ana, job.id, None)
    assert (await finished(helping, ana, job))["status"] == "canceled"
    await until(lambda: not helping.service.carrier._in_flight)  # pyright: ignore[reportPrivateUsage]
    assert not ledger.answered.is_set()
    before = (await events_of(helping, ana, job.id))[-1]["seq"]
    ledger.blocked.set()
    await until(ledger.answered.is_set)
    await asyncio.sleep(0.1)
    view = await read_job(helping.service.ports, ana, job.id)
    assert (view["status"], view["artifacts"], view["progress"]["seq"]) == ("canceled", [], before)
    verified(helping)


@pytest.mark.parametrize("verb", ["hold", "note"])
async def test_a_tool_is_not_stopped_by_anything_else(helping: Place, ledger: Ledger, verb: str) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}))
    job = await submitted(helping, ana, "helped")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    await DEEDS[verb](helping, job)
    await asyncio.sleep(0.7)
    ledger.held.set()
    view = await seen(helping, ana, job.id, lambda one: one["status"] == "completed")
    assert (ledger.stopped, ledger.names(), len(view["attempts"])) == ([], ["hold"], 2)
    verified(helping)

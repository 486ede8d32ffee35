"""What the provider says after it said something else, and what operators are told when failures repeat."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from backlane.core.failure import ALIKE
from backlane.core.schedule import Timings
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import (
    contents,
    creates,
    events_of,
    fault,
    finished,
    script,
    seen,
    submitted,
    verified,
)
from tests.values import small_app


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    """Canceled runs are looked at again after a moment, not after minutes."""
    from dataclasses import replace

    timings: Timings = replace(place.service.ports.timings, late_look=300)
    object.__setattr__(place.service.ports, "timings", timings)


async def canceled(place: Place, caller: Any, type_name: str = "digest", **more: Any) -> dict[str, Any]:
    """A job that was canceled while its run was under way."""
    job = await submitted(place, caller, type_name, **more)
    await seen(place, caller, job.id, lambda view: view["status"] == "running")
    await control.cancel(place.service.ports, caller, job.id, None)
    return await finished(place, caller, job)


async def looked_late(place: Place, caller: Any, job_id: str) -> list[dict[str, Any]]:
    """The events of the job, once its run's last word was heard and nobody looks any more."""
    for _ in range(1500):
        job = await place.service.store.read(lambda tx: tx.job(job_id))
        assert job is not None
        events = await events_of(place, caller, job_id)
        if job.due_at is None and any(event["type"] == "cost.settled" for event in events):
            return events
        await asyncio.sleep(0.01)
    raise AssertionError([event["type"] for event in events])


@pytest.mark.usefixtures("soon")
async def test_a_run_that_completes_after_its_cancel_stays_canceled_is_booked_once_and_kept_late(
    working: Place,
) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 0.4, "text": "late words"})
    fault(working, "complete_after_cancel", seconds=0.1)
    view = await canceled(working, ana, "plain")
    assert view["status"] == "canceled"
    events = await looked_late(working, ana, view["id"])
    view = await seen(working, ana, view["id"], lambda view: bool(view["artifacts"]))
    assert (view["status"], view["attempts"][0]["state"]) == ("canceled", "canceled")
    assert (await contents(working, ana, view))["late"] == "late words"
    assert float(view["cost"]["settled"]) > 0
    said = [event["data"] for event in events if event["data"].get("code") == "contradicted"]
    assert [(one["state"], one["status"]) for one in said] == [("canceled", "completed")]
    assert [event["type"] for event in events].count("cost.settled") == 1
    verified(working)


@pytest.mark.usefixtures("soon")
async def test_a_canceled_run_is_looked_at_once_more_and_then_left(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 50})
    view = await canceled(working, ana)
    events = await looked_late(working, ana, view["id"])
    assert not [event for event in events if event["data"].get("code") == "contradicted"]
    view = await read_job(working.service.ports, ana, view["id"])
    assert (view["status"], view["cost"]["unpriced"]) == ("canceled", 1)
    verified(working)


@pytest.mark.usefixtures("soon")
async def test_a_canceled_run_that_says_it_runs_again_is_noted_and_looked_at_until_it_ends(
    working: Place,
) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 50})
    fault(working, "backwards_status", times=2)
    view = await canceled(working, ana)
    events = await looked_late(working, ana, view["id"])
    said = [event["data"] for event in events if event["data"].get("code") == "contradicted"]
    assert [(one["state"], one["status"]) for one in said] == [("canceled", "in_progress")]
    assert view["status"] == "canceled"
    verified(working)


@pytest.mark.usefixtures("soon")
async def test_a_canceled_run_that_is_gone_is_booked_as_unpriced(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 50})
    view = await canceled(working, ana)
    fault(working, "gone", call="retrieve", times=None)
    events = await looked_late(working, ana, view["id"])
    lines = [event["data"] for event in events if event["type"] == "cost.settled"]
    assert [(line["amount"], line["basis"]) for line in lines] == [
        (None, "unpriced: the provider no longer has the run")
    ]
    verified(working)


def alerts(place: Place, kind: str) -> list[str]:
    """The operators' alerts, by code."""
    import json

    from backlane.store.tables import events

    rows = place.service.store.database.read_now(
        lambda connection: connection.execute(events.select().where(events.c.type == kind)).mappings().all()
    )
    return [json.loads(row["data"])["code"] for row in rows if row["job_id"] is None]


async def test_the_same_failure_again_and_again_says_that_the_task_design_is_wrong(working: Place) -> None:
    ana = await working.caller()
    script(working, {"text": "just words"}, times=ALIKE + 1)
    for number in range(ALIKE + 1):
        assert alerts(working, "alert.raised") == (["task_design"] if number >= ALIKE else [])
        view = await finished(working, ana, await submitted(working, ana))
        assert view["failure"]["code"] == "invalid_output"
    raised = await working.service.store.read(lambda tx: tx.incidents())
    assert [row["code"] for row in raised] == ["task_design"]
    assert "the task design is wrong" in raised[0]["message"]
    assert "'digest'" in raised[0]["message"] and "invalid_output" in raised[0]["message"]
    assert (await finished(working, ana, await submitted(working, ana)))["status"] == "completed"
    assert alerts(working, "alert.cleared") == ["task_design"]
    assert alerts(working, "alert.raised") == ["task_design"]
    assert await working.service.store.read(lambda tx: tx.incidents()) == []
    verified(working)


async def test_trouble_that_passes_and_other_types_failures_are_no_design(working: Place) -> None:
    ana = await working.caller()
    script(working, {"status": "failed", "error_code": "gremlins"}, times=ALIKE)
    for _ in range(ALIKE):
        await finished(working, ana, await submitted(working, ana))
    script(working, {"refusal": "no"}, times=ALIKE)
    for number in range(ALIKE):
        kind = "digest" if number % 2 else "checked"
        await finished(working, ana, await submitted(working, ana, kind))
    assert alerts(working, "alert.raised") == ["task_design"] * 0
    assert creates(working) == 2 * ALIKE


async def test_a_lost_result_alerts_operators_once_until_a_good_end(working: Place) -> None:
    ana = await working.caller()
    for _ in range(2):
        script(working, {"running_seconds": 100})
        job = await submitted(working, ana)
        await seen(working, ana, job.id, lambda view: view["status"] == "running")
        fault(working, "gone", call="retrieve", times=1)
        assert (await finished(working, ana, job))["failure"]["code"] == "result_gone"
    assert alerts(working, "alert.raised") == ["result_gone"]
    assert (await finished(working, ana, await submitted(working, ana)))["status"] == "completed"
    assert alerts(working, "alert.cleared") == ["result_gone"]
    verified(working)


async def test_a_result_over_the_cap_fails_the_job_keeps_its_beginning_and_is_unpriced(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, reply_at_most=50_000)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ana = await place.caller()
    await place.service.start_worker()
    script(place, {"running_seconds": 0.1, "text": "otters " * 100_000})
    view = await finished(place, ana, await submitted(place, ana, "plain"))
    failure = view["failure"]
    assert (view["status"], failure["cause"], failure["code"]) == ("failed", "provider", "result_too_large")
    assert failure["partial_output"]
    assert [row["name"] for row in view["artifacts"]] == ["partial-truncated.md"]
    assert len((await contents(place, ana, view))["partial"]) <= 50_000
    assert (view["cost"]["settled"], view["cost"]["unpriced"]) == (None, 1)
    assert creates(place) == 1
    verified(place)
    await place.service.drain(grace=5)

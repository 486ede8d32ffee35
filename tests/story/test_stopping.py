"""Jobs that are stopped: by a person, by the end of their window; the provider confirms, nothing more is bought."""

import asyncio

import pytest

from backlane.errors import NotAllowed
from backlane.service import control
from tests.conftest import Place
from tests.story.acts import creates, fault, finished, script, seen, submitted, verified


async def test_cancel_is_confirmed_at_the_provider(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 100})
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["status"] == "running")
    canceled = await control.cancel(working.service.ports, ana, job.id, "twice")
    assert canceled.phase == "canceling"
    again = await control.cancel(working.service.ports, ana, job.id, "twice")
    assert again.version >= canceled.version
    view = await finished(working, ana, job)
    assert view["status"] == "canceled"
    assert working.simulator.world.stats()["runs"] == {"cancelled": 1}
    with pytest.raises(NotAllowed):
        await control.cancel(working.service.ports, ana, job.id, None)
    verified(working)


@pytest.mark.parametrize("name", ["complete_after_cancel", "cancel_404", "cancel_409", "cancel_lost"])
async def test_a_cancel_the_provider_bungles_still_ends_canceled(working: Place, name: str) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 1.0, "json": {"summary": "done anyway", "themes": []}})
    fault(working, name)
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["provider_response_id"] is not None)
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    assert view["status"] == "canceled"
    await seen(working, ana, job.id, lambda view: view["attempts"][0]["state"] in ("completed", "canceled"))
    verified(working)


async def test_a_run_that_finished_before_its_cancel_is_kept_as_late(working: Place) -> None:
    ana = await working.caller()
    script(
        working,
        {"queued_seconds": 0, "running_seconds": 0.3, "json": {"summary": "done anyway", "themes": []}},
    )
    fault(working, "poll_after_ms", ms=60_000, call="create")
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda _: "completed" in working.simulator.world.stats()["runs"])
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    assert view["status"] == "canceled"
    assert [row["kind"] for row in view["artifacts"]] == ["late"]
    assert float(view["cost"]["settled"]) > 0
    assert view["attempts"][0]["state"] == "completed"
    verified(working)


async def test_a_cancel_before_anything_was_sent_buys_nothing(place: Place) -> None:
    ana = await place.caller()
    job = await submitted(place, ana)
    canceled = await control.cancel(place.service.ports, ana, job.id, None)
    assert canceled.status == "canceled"
    await place.service.start_worker()
    await asyncio.sleep(0.1)
    assert creates(place) == 0
    verified(place)


async def test_the_window_ends_a_job_and_stops_its_run(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 100})
    job = await submitted(working, ana, "short")
    view = await finished(working, ana, job)
    assert view["status"] == "expired"
    assert working.simulator.world.stats()["runs"] == {"cancelled": 1}
    assert view["allowed"] == ["retry", "message", "escalate", "archive"]
    verified(working)

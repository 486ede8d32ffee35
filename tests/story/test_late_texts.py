"""Texts that come too late to be looked at: kept, and closed for good to whoever the release gate is there for."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import NotReleased
from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.decide import decide
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acting import review_of, waits
from tests.story.acts import events_of, fault, script, seen, submitted, verified
from tests.story.asking import asking
from tests.story.hooking import hooked_place, listening, tell, telling_simulator
from tests.story.test_decisions import answered, content

LATE = '{"summary": "Nobody looked at this.", "themes": ["unseen"]}'
SECOND = '{"summary": "Otters float in kelp.", "themes": ["kelp"]}'


@pytest.fixture
async def untold(tmp_path: Path) -> AsyncIterator[Place]:
    """A working service with an open door at which only the test knocks."""
    at, nowhere = listening(), listening()
    with telling_simulator(nowhere) as simulator:
        async with hooked_place(tmp_path, simulator, at, look_first=0.1) as place:
            yield place


async def bought_again(place: Place, ana: Caller) -> Job:
    """A draft whose first run nobody knew of, and that was bought again; its second one waits for review."""
    olga = await place.caller("olga", "operator")
    script(place, {"text": LATE})
    script(place, {"text": SECOND})
    fault(place, "lose_create_reply")
    job = await submitted(place, ana, "draft")
    await waits(place, ana, job, "submission_unknown")
    await control.resolve(place.service.ports, olga, job.id, "run_again")
    await waits(place, ana, job, "output")
    return job


def runs(place: Place) -> list[str]:
    """The provider's runs, the oldest first."""
    return [line["response_id"] for line in place.simulator.world.log if line["call"] == "create"]


async def found(place: Place, ana: Caller, job: Job) -> dict[str, Any]:
    """The job, once its first run's text was found."""
    await tell(place, runs(place)[0])
    return await seen(
        place, ana, job.id, lambda view: any(row["kind"] == "late" for row in view["artifacts"])
    )


async def closed_to_ana(place: Place, ana: Caller, job: Job) -> None:
    """That there is such a text is all she is told: not its bytes, its size or its digest."""
    view = await read_job(place.service.ports, ana, job.id)
    late = next(row for row in view["artifacts"] if row["kind"] == "late")
    assert (late["bytes"], late["sha256"]) == (None, None)
    with pytest.raises(NotReleased):
        await show.read_content(place.service.ports, ana, late["id"], None)
    olga = await place.caller("olga", "operator")
    kept = await show.read_content(place.service.ports, olga, late["id"], None)
    assert kept.content.decode() == LATE
    digest = next(
        row["sha256"]
        for row in await show.list_artifacts(place.service.ports, olga, job.id)
        if row["id"] == late["id"]
    )
    async with asking(place) as http:
        stream = await http.get(f"/jobs/{job.id}/events", headers={"Accept": "text/event-stream"})
    told = json.dumps([view, await events_of(place, ana, job.id)]) + stream.text
    for secret in (digest, "Nobody looked"):
        assert secret not in told


@pytest.mark.parametrize("moment", ["while it is reviewed", "after its approval"])
async def test_what_a_run_wrote_that_was_found_too_late_is_never_released(untold: Place, moment: str) -> None:
    ports, ana = untold.service.ports, await untold.caller()
    rita = await untold.caller("rita", "reviewer")
    job = await bought_again(untold, ana)
    if moment == "while it is reviewed":
        await found(untold, ana, job)
    review = await review_of(untold, await read_job(ports, ana, job.id))
    await decide(ports, rita, review["id"], answered(review))
    view = await found(untold, ana, job)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    # What was looked at is released as ever.
    assert json.loads(await content(untold, ana, view)) == json.loads(SECOND)
    await closed_to_ana(untold, ana, job)
    verified(untold)


async def test_what_comes_after_a_request_for_changes_is_in_no_review(untold: Place) -> None:
    ports, ana = untold.service.ports, await untold.caller()
    rita = await untold.caller("rita", "reviewer")
    job = await bought_again(untold, ana)
    review = await review_of(untold, await read_job(ports, ana, job.id))
    script(untold, {"text": SECOND, "running_seconds": 0.5})
    await decide(ports, rita, review["id"], answered(review, "request_changes", notes="Shorter."))
    late = next(row for row in (await found(untold, ana, job))["artifacts"] if row["kind"] == "late")
    while untold.simulator.world.stats()["runs"].get("completed") != 3:
        await asyncio.sleep(0.01)
    await tell(untold, runs(untold)[-1], "wh_third")
    newer = await review_of(untold, await waits(untold, ana, job, "output"))
    assert late["id"] not in [one["id"] for one in newer["payload"]["artifacts"]]
    await decide(ports, rita, newer["id"], answered(newer))
    assert (await read_job(ports, ana, job.id))["status"] == "completed"
    await closed_to_ana(untold, ana, job)
    verified(untold)

"""How a draw went is told with the result: before it a submitter sees no difference that they could pick jobs by."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane import App, Request
from backlane.core.job import Job
from backlane.service import show
from backlane.service.access import Caller
from backlane.service.control import cancel
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import approve, done, review_of, waits
from tests.story.acts import contents, events_of, script, seen, submitted, verified
from tests.values import Note

SPARED, DRAWN = "sampled-never", "sampled-always"


def sampled_app(holds: asyncio.Event) -> App:
    """Two types that differ in their draws alone. Their second tool waits."""
    app = App()
    for name, rate in ((SPARED, 1e-12), (DRAWN, 1.0)):

        @app.job(name, authority="low_risk_write", sampled=rate)
        def written(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", input=inputs.text)

        @written.tool
        def count(word: str) -> int:
            return len(word)

        @written.tool
        async def wait() -> str:
            await holds.wait()
            return "went on"

    return app


@pytest.fixture
def holds() -> asyncio.Event:
    """Until it is set, a job's second tool waits."""
    return asyncio.Event()


@pytest.fixture
async def sampling(tmp_path: Path, simulator: Running, holds: asyncio.Event) -> AsyncIterator[Place]:
    """A service with sampled types whose worker may be started."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=sampled_app(holds), log=lambda line: None)
    yield Place(service, simulator, chosen)
    holds.set()
    await service.drain(grace=5)


def alike(shown: Any) -> Any:
    """What was shown, without what differs between any two jobs: ids, times, amounts, and the type's name."""
    text = json.dumps(shown, sort_keys=True, default=str)
    text = re.sub(r'"(job|att|art|call|fc|resp|evt|msg|tool|tcl)_\w+"(?!:)', '"id"', text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "then", text)
    text = re.sub(r'("\w*(?:_seconds|cost|settled|tokens|feed_seq|seq)": )"?[\d.]+"?', r"\1 0", text)
    text = re.sub(r'"usually": (null|\{[^}]*\})|"type_version": "\w+"', '"of": 0', text)
    return json.loads(text.replace(SPARED, "type").replace(DRAWN, "type"))


async def shown(place: Place, caller: Caller, job: Job) -> dict[str, Any]:
    """All that a caller is shown of a job."""
    return {
        "job": await read_job(place.service.ports, caller, job.id),
        "events": [
            {**one, "seq": 0}
            for one in await events_of(place, caller, job.id)
            # When a run is seen to start and end follows from the looks at it, not from the draw.
            if one["type"].startswith(("tool.", "lane.", "artifact.")) or one["type"] == "job.submitted"
        ],
        "artifacts": await show.list_artifacts(place.service.ports, caller, job.id),
    }


async def held(place: Place, ana: Caller, kind: str) -> Job:
    """A job of this type whose first tool has answered, and whose second waits."""
    for name, given in (("count", {"word": "otter"}), ("wait", {})):
        script(place, {"tool_calls": [{"name": name, "arguments": given}]})
    script(place, {"text": "Five letters."})
    job = await submitted(place, ana, kind)
    await seen(place, ana, job.id, lambda one: len(one["attempts"]) == 2 and one["phase"] == "tool")
    return job


async def test_a_spared_job_looks_like_a_drawn_one_until_its_result(
    sampling: Place, holds: asyncio.Event
) -> None:
    await sampling.service.start_worker()
    ana, olga = await sampling.caller(), await sampling.caller("olga", "operator")
    spared = await held(sampling, ana, SPARED)
    holds_one = await shown(sampling, ana, spared)
    assert (await shown(sampling, olga, spared))["job"]["review"]["state"] == "sampled_out"
    holds.set()
    view = await seen(sampling, ana, spared.id, done)
    assert (view["status"], view["review"]["state"]) == ("completed", "sampled_out")
    assert (await contents(sampling, ana, view))["result"] == "Five letters."
    holds.clear()
    drawn = await held(sampling, ana, DRAWN)
    holds_other = await shown(sampling, ana, drawn)
    for part, told in holds_one.items():
        assert alike(told) == alike(holds_other[part])
    holds.set()
    await approve(sampling, await review_of(sampling, await waits(sampling, ana, drawn, "sampled")))
    view = await seen(sampling, ana, drawn.id, done)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    verified(sampling)


async def test_no_canceled_job_says_how_its_draw_went(sampling: Place) -> None:
    ana, olga = await sampling.caller(), await sampling.caller("olga", "operator")
    told: list[Any] = []
    for kind in (SPARED, DRAWN):
        job = await submitted(sampling, ana, kind)
        before = await shown(sampling, ana, job)
        await cancel(sampling.service.ports, ana, job.id, None)
        told.append(alike([before, await shown(sampling, ana, job)]))
        state = (await shown(sampling, olga, job))["job"]["review"]["state"]
        assert state == ("sampled_out" if kind == SPARED else "not_required")
    assert told[0] == told[1]
    verified(sampling)

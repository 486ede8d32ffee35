"""What happens in every story: submit, wait, look at the record; and at the end the checker goes over it all."""

import asyncio
from collections.abc import Callable
from typing import Any

from backlane.core.job import Job
from backlane.outbound.folder import ArtifactFolder
from backlane.service import show
from backlane.service.access import Caller
from backlane.service.read import read_job
from backlane.service.submit import Submission, submit
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from tests.conftest import Place

TEXT = "Sea otters float on their backs while they rest. They wrap themselves in kelp so that they do not drift away."


async def submitted(
    place: Place, caller: Caller, type_name: str = "digest", text: str = TEXT, **more: Any
) -> Job:
    """A job of this type."""
    inputs = {"text": text, **more.pop("inputs", {})}
    submission = Submission(type=type_name, inputs=inputs, **more)
    job, _ = await submit(place.service.ports, caller, submission, key=None, body_hash="")
    return job


async def seen(
    place: Place, caller: Caller, job_id: str, until: Callable[[dict[str, Any]], bool]
) -> dict[str, Any]:
    """The job, once it is as wanted."""
    for _ in range(1500):
        view = await read_job(place.service.ports, caller, job_id)
        if until(view):
            return view
        await asyncio.sleep(0.01)
    raise AssertionError(f"still {view['status']}/{view['phase']}: {view['attempts']}")


def ended(view: dict[str, Any]) -> bool:
    """Terminal, or waiting for a person."""
    return view["status"] not in ("queued", "running") and view["phase"] != "canceling"


async def finished(place: Place, caller: Caller, job: Job) -> dict[str, Any]:
    """The job, once it has ended or needs a person."""
    return await seen(place, caller, job.id, ended)


async def events_of(place: Place, caller: Caller, job_id: str) -> list[dict[str, Any]]:
    """All events of a job."""
    page, _ = await show.read_events(place.service.ports, caller, job_id, 0, 200)
    return page


async def contents(place: Place, caller: Caller, view: dict[str, Any]) -> dict[str, str]:
    """A job's artifacts by kind."""
    found: dict[str, str] = {}
    for row in view["artifacts"]:
        content = await show.read_content(place.service.ports, caller, row["id"], "a test")
        found[row["kind"]] = content.content.decode()
    return found


def fault(place: Place, name: str, **values: Any) -> None:
    """Put a fault in the provider's air."""
    from backlane.simulator.faults import read_fault

    place.simulator.world.weather.add(read_fault({"fault": name, **values}))


def script(place: Place, then: dict[str, Any], times: int | None = 1, **match: Any) -> None:
    """What the next matching run does."""
    place.simulator.world.script({"match": match, "then": then, "times": times})


def creates(place: Place) -> int:
    """How many creates the provider saw."""
    return place.simulator.world.stats()["creates"]


def verified(place: Place, world_log: Any = None) -> None:
    """Nothing that was stored breaks an invariant, with the provider's own log beside it, and the world's."""
    folder = ArtifactFolder.from_url(place.settings.artifacts_url)
    log = list(place.simulator.world.log)
    report = check(collect(place.service.store.database, folder.read, provider_log=log, world_log=world_log))
    assert report.ok, "\n".join(report.lines())
    assert "I01" in report.judged and "I21" in report.judged

"""Policies over what is written: closed until they have answered; a refusal stays closed whoever would approve it."""

import json
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import NotReleased
from backlane.service.access import Caller
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acting import approve, done, review_of, waits
from tests.story.action_types import World
from tests.story.acts import contents, events_of, finished, script, seen, submitted, verified
from tests.story.policed import audited, policed, world

__all__ = ["policed", "world"]  # fixtures


async def written(place: Place, ana: Caller, type_name: str, summary: str) -> Job:
    """A job whose run answers with this."""
    script(place, {"text": json.dumps({"summary": summary, "themes": ["one"]})})
    return await submitted(place, ana, type_name)


@pytest.mark.parametrize("type_name", ["policed-note", "policed-write", "trusted-draft"])
async def test_what_the_policy_allows_is_released_without_a_person(
    policed: Place, world: World, type_name: str
) -> None:
    ana = await policed.caller()
    view = await finished(policed, ana, await written(policed, ana, type_name, "all is well"))
    assert (view["status"], view["review"]["state"]) == ("completed", "not_required")
    assert "all is well" in (await contents(policed, ana, view))["result"]
    told = [one for one in await events_of(policed, ana, view["id"]) if one["type"] == "job.released"]
    assert [(one["actor"], one["data"]["review"]) for one in told] == [("policy", None)]
    [line] = await audited(policed, "output.allowed")
    assert json.loads(line["data"])["version"] == told[0]["data"]["policy_version"]
    verified(policed)


@pytest.mark.parametrize("type_name", ["policed-note", "policed-write", "policed-draft", "trusted-draft"])
async def test_what_the_policy_refuses_stays_closed(policed: Place, world: World, type_name: str) -> None:
    ana = await policed.caller()
    view = await finished(policed, ana, await written(policed, ana, type_name, "a forbidden thing"))
    assert (view["status"], view["failure"]["code"]) == ("failed", "policy_refused")
    with pytest.raises(NotReleased):
        await contents(policed, ana, view)
    assert "forbidden" not in json.dumps([view, await events_of(policed, ana, view["id"])])
    assert len(await audited(policed, "output.refused")) == 1
    verified(policed)


async def test_what_the_policy_leaves_to_a_person_is_reviewed(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await written(policed, ana, "policed-note", "a doubtful thing")
    review = await review_of(policed, await waits(policed, ana, job, "output"))
    assert review["policy"]["reason"] == "it says a doubtful word"
    assert review["payload"]["policy_version"] == review["policy"]["version"]
    await approve(policed, review)
    view = await seen(policed, ana, job.id, done)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    verified(policed)


async def test_a_draft_is_reviewed_though_the_policy_allows_it(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await written(policed, ana, "policed-draft", "all is well")
    review = await review_of(policed, await waits(policed, ana, job, "output"))
    assert review["policy"]["answer"] == "allow"
    verified(policed)


async def test_an_edited_version_is_judged_like_any_other(policed: Place, world: World) -> None:
    ana = await policed.caller()
    job = await written(policed, ana, "policed-draft", "all is well")
    review = await review_of(policed, await waits(policed, ana, job, "output"))
    await approve(policed, review, edits={"summary": "a forbidden thing", "themes": []})
    view = await seen(policed, ana, job.id, done)
    assert (view["status"], view["failure"]["code"]) == ("failed", "policy_refused")
    job = await written(policed, ana, "policed-draft", "all is well")
    review = await review_of(policed, await waits(policed, ana, job, "output"))
    await approve(policed, review, edits={"summary": "a doubtful thing", "themes": []})
    view = await seen(policed, ana, job.id, done)
    assert view["status"] == "completed"
    edited = [one for one in view["artifacts"] if one["kind"] == "result" and one["sha256"]]
    assert "doubtful" in (await contents(policed, ana, {"artifacts": edited}))["result"]
    verified(policed)


async def test_a_live_job_under_a_policy_streams_nothing_to_its_requester(
    policed: Place, world: World
) -> None:
    ana = await policed.caller()
    text = json.dumps({"summary": "a forbidden thing " * 20, "themes": []})
    script(policed, {"text": text, "running_seconds": 0.3})
    job = await submitted(policed, ana, "policed-note", live=True)
    told: list[dict[str, Any]] = []
    while not done(await read_job(policed.service.ports, ana, job.id)):
        told += await events_of(policed, ana, job.id)
    told += await events_of(policed, ana, job.id)
    assert any(one["type"] == "output.delta" for one in told)
    assert "forbidden" not in json.dumps(told)
    verified(policed)

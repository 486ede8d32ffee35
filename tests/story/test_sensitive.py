"""Sensitive jobs: by a field, a flag, a hook over inputs or output, or a person while it runs; it only tightens."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel

from backlane import App, AsyncClient, Request, Sensitive
from backlane.core.policy import Over
from backlane.errors import DeclarationError, NotAllowed, NotFound, RoleRequired
from backlane.service.access import Caller
from backlane.service.control import cancel, retry
from backlane.service.mark_sensitive import mark_sensitive
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import approve, done, review_of, waits
from tests.story.acts import contents, finished, script, seen, submitted, verified
from tests.story.commands import command, served
from tests.story.live_acts import RUN, events
from tests.story.policed import audited
from tests.values import Note, small_app


class Person(BaseModel):
    """A part of inputs."""

    name: Sensitive[str]
    age: int = 0


class Letter(BaseModel):
    """Inputs with sensitive parts at several depths."""

    text: str
    people: list[Person] = []
    pin: Sensitive[int] | None = None


def hooked_app() -> App:
    """The types `hooked` (both), `hooked-inputs`, `broken-hook`, `letter` and `told` (own summaries)."""
    app = small_app()
    for name in ("hooked", "hooked-inputs", "broken-hook"):

        @app.job(name, authority="read_only")
        def hooked(inputs: Note) -> Request:
            return Request(model="gpt-6-luna", instructions="Digest.", input=inputs.text)

        @hooked.summary
        def _(inputs: Note) -> str:
            return f"about {inputs.text[:40]} {inputs.secret[:8]}"

        def mentions_a_child(inputs: Note, result: str | None) -> bool:
            return "child" in (inputs.text if result is None else result)

        def breaks(inputs: Note, result: str | None) -> bool:
            raise RuntimeError(inputs.text)

        if name == "hooked-inputs":
            hooked.sensitive(over="inputs")(mentions_a_child)
        else:
            hooked.sensitive(breaks if name == "broken-hook" else mentions_a_child)

    @app.job("letter", authority="read_only")
    def letter(inputs: Letter) -> Request:
        return Request(model="gpt-6-luna", instructions="Digest.", input=inputs.text)

    @letter.summary
    def _(inputs: Letter) -> str:
        return f"{inputs.text}: {[one.name[:3] for one in inputs.people]} {inputs.pin}"

    return app


@pytest.fixture
async def hooked(tmp_path: Path, simulator: Running) -> AsyncIterator[tuple[Place, list[str]]]:
    """A service with hooked types whose worker runs, and what it logs."""
    chosen, logged = settings_for(tmp_path, simulator), list[str]()
    service = build(chosen, types=hooked_app(), log=logged.append)
    await service.start_worker()
    yield Place(service, simulator, chosen), logged
    await service.drain(grace=5)


Hooked = tuple[Place, list[str]]


async def test_a_hook_over_inputs_tightens_the_gate_at_submit(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()
    job = await submitted(place, ana, "hooked-inputs", "a child was here")
    assert (job.gate, job.sensitive) == ("sensitive", "hook")
    assert "child" not in job.summary
    view = await waits(place, ana, job, "sensitive")
    assert view["sensitive"] is True
    plain = await submitted(place, ana, "hooked-inputs", "nobody was here")
    assert (plain.gate, plain.sensitive) == ("none", None)
    assert (await finished(place, ana, plain))["status"] == "completed"
    verified(place)


async def test_a_hook_over_the_output_keeps_it_closed_until_it_has_answered(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()
    script(place, {**RUN, "text": "There is nobody. " * 20})
    job = await submitted(place, ana, "hooked", "who is there?", live=True)
    assert job.gate == "policy"
    view = await seen(place, ana, job.id, done)
    assert (view["status"], view["sensitive"]) == ("completed", False)
    told = await events(place, ana, job.id)
    assert "nobody" in json.dumps(told)
    assert "nobody" in (await contents(place, ana, view))["result"]
    verified(place)


async def test_an_output_that_the_hook_finds_sensitive_is_reviewed(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()
    script(place, {**RUN, "text": "There is a child. " * 20})
    job = await submitted(place, ana, "hooked", "who is there?", live=True)
    view = await waits(place, ana, job, "sensitive")
    assert view["sensitive"] is True
    assert "child" not in json.dumps([view, await events(place, ana, job.id)])
    await approve(place, await review_of(place, view))
    view = await seen(place, ana, job.id, done)
    assert view["status"] == "completed"
    assert "child" in (await contents(place, ana, view))["result"]
    verified(place)


async def test_a_hook_that_breaks_tightens(hooked: Hooked) -> None:
    place, logged = hooked
    ana = await place.caller()
    job = await submitted(place, ana, "broken-hook", "canary-5512")
    assert (job.gate, job.sensitive) == ("sensitive", "hook")
    await waits(place, ana, job, "sensitive")
    assert "canary-5512" not in "".join(logged)
    verified(place)


async def test_a_sensitive_jobs_summary_tells_no_text(hooked: Hooked) -> None:
    place, _ = hooked
    ana, sam = await place.caller(), await place.caller("sam", "support")
    flagged = await submitted(place, ana, "hooked-inputs", "canary-5512", sensitive=True)
    fielded = await submitted(place, ana, "hooked-inputs", "open words", inputs={"secret": "canary-5512"})
    assert "canary" not in flagged.summary
    assert fielded.summary == "about open words [sensiti"
    for job in (flagged, fielded):
        assert "canary" not in json.dumps(await read_job(place.service.ports, sam, job.id))
    verified(place)


@pytest.mark.parametrize(
    ("inputs", "summary"),
    [
        ({"people": [{"name": "canary", "age": 7}]}, "hello: ['[se'] None"),
        ({"people": [{"name": ""}]}, "hello: [''] None"),
        ({"pin": 5512}, "text: 5 B, people: sensitive, pin: sensitive"),
    ],
)
async def test_own_summaries_are_given_masked_inputs_at_every_depth(
    hooked: Hooked, inputs: dict[str, Any], summary: str
) -> None:
    place, _ = hooked
    ana = await place.caller()
    assert (await submitted(place, ana, "letter", "hello", inputs=inputs)).summary == summary


async def test_marking_a_running_job_closes_its_stream_at_that_event(hooked: Hooked) -> None:
    place, _ = hooked
    ana, olga = await place.caller(), await place.caller("olga", "operator")
    script(place, {**RUN, "running_seconds": 8.0, "text": "Otters rest in kelp. " * 60})
    job = await submitted(place, ana, "plain", live=True)
    before: list[dict[str, Any]] = []
    while not any(one["type"] == "output.delta" for one in before):
        before = await events(place, ana, job.id)
    await mark_sensitive(place.service.ports, ana, job.id, "it names canary-7")
    await mark_sensitive(place.service.ports, olga, job.id)
    view = await waits(place, ana, job, "sensitive")
    told = await events(place, ana, job.id)
    [mark] = [one for one in told if one["type"] == "job.tightened"]
    assert (mark["actor"], mark["data"]) == ("ana", {})
    assert told[: len(before)] == before
    deltas = [one for one in told if one["type"] == "output.delta"]
    assert any("text" in one["data"] for one in deltas if one["seq"] < mark["seq"])
    later = [one["data"] for one in deltas if one["seq"] > mark["seq"]]
    assert later and all("text" not in one for one in later)
    assert [one["bytes"] for one in view["artifacts"] if one["kind"] == "result"] == [None]
    assert [one["actor"] for one in await audited(place, "job.sensitive")] == ["ana"]
    await approve(place, await review_of(place, view))
    await seen(place, ana, job.id, done)
    assert all(
        "text" in one["data"] for one in await events(place, ana, job.id) if one["type"] == "output.delta"
    )
    verified(place)


async def test_a_follower_over_http_gets_nothing_after_the_mark(hooked: Hooked) -> None:
    place, _ = hooked
    key, ana = await place.key(), await place.caller()
    script(place, {**RUN, "running_seconds": 6.0, "text": "Otters rest in kelp. " * 60})
    job = await submitted(place, ana, "plain", live=True)
    marked, got = False, list[tuple[str, dict[str, Any]]]()
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        while not any(one["type"] == "output.delta" for one in await events(place, ana, job.id)):
            pass
        answer = await http.post(f"/v1/jobs/{job.id}/sensitive", json={"reason": "a name"})
        assert (answer.status_code, answer.json()["sensitive"]) == (200, True)
        await waits(place, ana, job, "sensitive")
        await cancel(place.service.ports, ana, job.id, None)
        told = await http.get(f"/v1/jobs/{job.id}/events", headers={"Accept": "text/event-stream"})
    for line in told.text.splitlines():
        if line.startswith("data: "):
            event = json.loads(line[6:])
            marked = marked or event["type"] == "job.tightened"
            got.append((event["type"], event["data"]))
            assert not (marked and "text" in event["data"])
    assert marked and any("text" in data for _, data in got)
    verified(place)


async def test_who_may_mark_and_when(hooked: Hooked) -> None:
    place, _ = hooked
    ana, ben = await place.caller(), await place.caller("ben")
    sam = await place.caller("sam", "support")
    job = await submitted(place, ana, "plain")
    for caller, refusal in ((ben, NotFound), (sam, RoleRequired)):
        with pytest.raises(refusal):
            await mark_sensitive(place.service.ports, caller, job.id)
    await finished(place, ana, job)
    with pytest.raises(NotAllowed):
        await mark_sensitive(place.service.ports, ana, job.id)


async def test_a_retry_stays_sensitive(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()

    async def ended_and_retried(job_id: str, by: Caller) -> None:
        await cancel(place.service.ports, by, job_id, None)
        again, _ = await retry(place.service.ports, by, job_id)
        assert (again.gate, again.sensitive is not None) == ("sensitive", True)

    script(place, {**RUN, "running_seconds": 8.0})
    job = await submitted(place, ana, "plain")
    await mark_sensitive(place.service.ports, ana, job.id)
    await waits(place, ana, job, "sensitive")
    await ended_and_retried(job.id, ana)


def test_a_type_has_one_hook_over_what_there_is() -> None:
    @App().job("twice", authority="read_only")
    def twice(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="", input=inputs.text)

    def one(inputs: Note, result: Any) -> bool:
        return False

    with pytest.raises(DeclarationError, match="inputs, output or both"):
        twice.sensitive(over="events")(one)
    with pytest.raises(DeclarationError, match="must take"):
        twice.sensitive(lambda inputs: False)
    twice.sensitive(one)
    with pytest.raises(DeclarationError, match="two sensitive hooks"):
        twice.sensitive(one)
    assert twice.type.rules.version(Over.OUTPUT) is not None


async def test_who_follows_a_job_when_it_is_marked_asks_again_and_is_audited(hooked: Hooked) -> None:
    place, _ = hooked
    ana, key = await place.caller(), await place.key("olga", "operator")
    script(place, {**RUN, "running_seconds": 8.0, "text": "Otters rest in kelp. " * 60})
    job = await submitted(place, ana, "plain", live=True)
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        following = asyncio.create_task(http.get(f"/v1/jobs/{job.id}/events"))
        while not any(one["type"] == "output.delta" for one in await events(place, ana, job.id)):
            await asyncio.sleep(0.01)
        assert await audited(place, "events.read") == []
        await mark_sensitive(place.service.ports, ana, job.id)
        told = (await asyncio.wait_for(following, 20)).text
        assert "event: job.tightened" in told and "event: job.completed" not in told
        last = told.rsplit("\nid: ", 1)[1].split("\n")[0]
        await waits(place, ana, job, "sensitive")
        await cancel(place.service.ports, ana, job.id, None)
        rest = await http.get(f"/v1/jobs/{job.id}/events", headers={"Last-Event-ID": last})
        assert "event: output.delta" in rest.text
    assert [one["actor"] for one in await audited(place, "events.read")] == ["olga"]
    verified(place)


async def test_a_sensitive_jobs_failure_does_not_quote_the_provider(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()
    for sensitive in (True, False):
        script(place, {"status": "failed", "error_code": "invalid_prompt"})
        job = await submitted(place, ana, "plain", sensitive=sensitive)
        view = await seen(place, ana, job.id, done)
        plain = "The provider refused the prompt as it stands."
        assert (view["failure"]["message"] == plain) is sensitive


async def test_the_command_marks_an_open_job(hooked: Hooked) -> None:
    place, _ = hooked
    ana = await place.caller()
    script(place, {**RUN, "running_seconds": 8.0})
    job = await submitted(place, ana, "plain")
    async with served(place) as url:
        mine = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await place.key()}
        told = await command(mine, "sensitive", job.id, "--reason", "a name", "--json")
        assert (told.code, json.loads(told.out)["sensitive"]) == (0, True)
        async with AsyncClient(url, mine["BACKLANE_API_KEY"]) as client:
            assert (await client.mark_sensitive(job.id)).data["sensitive"] is True
        await waits(place, ana, job, "sensitive")
        done_one = await submitted(place, ana, "plain")
        await finished(place, ana, done_one)
        assert (await command(mine, "sensitive", done_one.id)).code == 3
    verified(place)

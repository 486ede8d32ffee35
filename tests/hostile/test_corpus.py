"""The corpus through every field: nothing it says has any power, and no sink is broken by it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from backlane.service.access import Caller
from backlane.service.decide import Decided, decide
from backlane.service.show_review import read_review
from backlane.simulator.server import Running
from backlane.store.people import keys, principals, workspaces
from backlane.store.tables import reviews
from backlane.store.tables_actions import actions
from backlane.store.tables_review import decisions
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.hostile.corpus import CORPUS, FAMILIES, SPEAKABLE
from tests.hostile.fields import BATCHES, hostile_app, ways_in
from tests.release.probe import Known, ask, surfaces
from tests.story.acts import script, seen, submitted, verified
from tests.story.commands import command, served

# So many actions of each job that may be given are approved; the others wait for ever.
APPROVED = 8


@pytest.fixture
async def hostile(tmp_path: Path, simulator: Running) -> AsyncIterator[tuple[Place, list[str]]]:
    """A service whose worker runs, and what it logs."""
    lines: list[str] = []
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=hostile_app(tmp_path / "effects"), log=lines.append)
    await service.start_worker()
    yield Place(service, simulator, chosen), lines
    await service.drain(grace=5)


def rows(place: Place, table: Any) -> list[dict[str, Any]]:
    """A whole table."""
    return place.service.store.database.read_now(
        lambda connection: [dict(row) for row in connection.execute(table.select()).mappings()]
    )


async def lived_through(place: Place, ana: Caller, texts: list[str], number: int) -> dict[str, str]:
    """A job for each way in, all of them ended or waiting for a person; their names by id."""
    jobs = dict[str, str]()
    for index, (name, type_name, then) in enumerate(ways_in(texts)):
        tag = f"batch{number:03d}way{index:03d}"
        script(place, then, input_contains=tag)
        live = name in ("words and citations", "a refusal", "a beginning", "names of calls")
        jobs[(await submitted(place, ana, type_name, tag, live=live)).id] = name
    for _ in range(3000):
        left = [row for row in rows(place, jobs_table()) if row["status"] in ("queued", "running")]
        if not left:
            return jobs
        await asyncio.sleep(0.02)
    raise AssertionError([(jobs.get(row["id"]), row["status"], row["phase"]) for row in left])


def jobs_table() -> Any:
    """The table of jobs."""
    from backlane.store.tables import jobs

    return jobs


def framed(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream, read as the standard says; whatever is no frame of ours fails the test."""
    found: list[dict[str, Any]] = []
    for frame in body.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        if not frame or frame.startswith(":"):
            continue
        names = [line.partition(":")[0] for line in frame.split("\n")]
        assert sorted(names) == ["data", "event", "id"], frame[:300]
        fields = dict(line.split(": ", 1) for line in frame.split("\n"))
        event = json.loads(fields["data"])
        assert (fields["id"], fields["event"]) == (str(event["seq"]), event["type"])
        found.append(event)
    return found


async def read_all(place: Place, job: str, headers: dict[str, str]) -> None:
    """Every answer about a job is well formed, and the stream tells what the pages tell."""
    app = place.app()

    def ids(tx: Any) -> Known:
        found = {
            "job_id": [job],
            "artifact_id": [row["id"] for row in tx.artifacts(job)],
            "review_id": [row["id"] for row in tx.reviews_of([job])[job]],
            "action_id": [one.id for one in tx.actions(job)][:3],
            "case_id": [],
            "key_id": [],
            "name": [],
        }
        return Known(job, found)

    known = await place.service.store.read(ids)
    streamed: list[dict[str, Any]] = []
    paged: list[dict[str, Any]] = []
    for method, path, more in surfaces(app, known):
        if (job not in path and path.startswith("/v1/jobs?")) or path == "/openapi.json":
            continue
        answer = await ask(app, method, path, {**headers, **more})
        assert answer.status < 500, (path, answer.text()[:500])
        for name, value in answer.headers:
            assert value.isprintable() and value.isascii(), (path, name, value)
        if more.get("Accept"):
            streamed = framed(answer.body)
        elif not path.endswith("/content") and method == "GET":
            given = json.loads(answer.body)
            paged = given["data"] if path.endswith("events?limit=200") else paged
    assert streamed[:200] == paged, job
    assert [event["seq"] for event in streamed] == list(range(1, len(streamed) + 1))


def unmoved(place: Place, before: dict[str, Any], effects: Path) -> None:
    """Nobody decided anything, nobody is somebody else, nothing reached the outside."""
    assert rows(place, decisions) == []
    assert {row["state"] for row in rows(place, reviews)} <= {"pending", "expired"}
    assert {row["state"] for row in rows(place, actions)} <= {"proposed"}
    for row in rows(place, jobs_table()):
        gated = row["gate"] != "none"
        assert not (gated and (row["status"] == "completed" or row["released"])), row["id"]
        assert row["gate"] == ("none" if row["authority"] == "read_only" else "output")
    for name, table in (("keys", keys), ("principals", principals), ("workspaces", workspaces)):
        told = [{key: row[key] for key in row if key != "last_used_at"} for row in rows(place, table)]
        assert told == before[name], name
    assert not effects.exists()


def held(place: Place) -> dict[str, Any]:
    """Who may do what, as it is kept."""
    found = {"keys": keys, "principals": principals, "workspaces": workspaces}
    return {
        name: [{key: row[key] for key in row if key != "last_used_at"} for row in rows(place, table)]
        for name, table in found.items()
    }


def test_the_corpus_is_large_and_of_many_kinds() -> None:
    assert len(CORPUS) >= 200
    assert len(FAMILIES) >= 8 and all(list(family()) for family in FAMILIES)


@pytest.mark.parametrize("half", [0, 1])
async def test_nothing_that_is_said_has_any_power(
    hostile: tuple[Place, list[str]], tmp_path: Path, half: int
) -> None:
    place, lines = hostile
    headers = {"Authorization": f"Bearer {await place.key('adam', 'admin')}"}
    ana, rita = await place.caller(), await place.caller("rita", "reviewer")
    jobs, before = dict[str, str](), held(place)
    for number, texts in list(enumerate(BATCHES))[half::2]:
        jobs |= await lived_through(place, ana, texts, number)
    unmoved(place, before, tmp_path / "effects")
    verified(place)
    for job in jobs:
        await read_all(place, job, headers)
    shown = ("words and citations", "a beginning", "pages and files", "an error")
    told = [job for job, name in jobs.items() if name in shown]
    await said_by_commands(place, told, await place.key())
    # Too many arguments that no action can be given end a job before anybody is asked.
    waiting = {row["id"] for row in rows(place, jobs_table()) if row["status"] == "needs_review"}
    acting = [job for job, name in jobs.items() if name == "actions" and job in waiting]
    assert len(acting) >= 2
    await approved_exactly(place, rita, acting, tmp_path / "effects")
    assert not [line for line in lines if not line.isprintable()], lines


async def approved_exactly(place: Place, rita: Caller, jobs: list[str], effects: Path) -> None:
    """What a person approves reaches the world once, byte by byte as it was shown, whatever it says."""
    shown = await asyncio.gather(*(approved(place, rita, job) for job in jobs))
    expected = [order for orders in shown for order in orders]
    done = [json.loads(line) for line in effects.read_text().splitlines()]
    assert sorted(one["order"] for one in done) == sorted(expected)
    assert all(order in CORPUS for order in expected)
    assert len({one["key"] for one in done}) == len(set(expected)) == len(jobs) * APPROVED
    verified(place, world_log=[{"key": one["key"]} for one in done])


async def approved(place: Place, rita: Caller, job: str) -> list[str]:
    """What the job's next actions were shown to say, each approved when its turn came, and carried out."""
    ports, shown = place.service.ports, list[str]()
    for turn in range(APPROVED):
        view = await seen(place, rita, job, lambda view: view["status"] == "needs_review")
        review = await read_review(ports, rita, view["review"]["id"])
        shown.append(review["payload"]["arguments"]["order"])
        await decide(
            ports, rita, review["id"], Decided(decision="approve", payload_hash=review["payload_hash"])
        )
        await seen(place, rita, job, lambda view, turn=turn: view["actions"][turn]["state"] == "succeeded")
    return shown


async def said_by_commands(place: Place, jobs: list[str], key: str) -> None:
    """No command drives a terminal with what it prints."""
    async with served(place) as url:
        here = {"BACKLANE_URL": url, "BACKLANE_API_KEY": key}
        admin = {**here, "BACKLANE_API_KEY": await place.key("adam", "admin")}
        said = [await command(admin, "reviews"), await command(admin, "jobs"), await command(admin, "cases")]
        for job in jobs:
            view = await ask(place.app(), "GET", f"/v1/jobs/{job}", {"Authorization": f"Bearer {key}"})
            said.append(await command(here, "show", job))
            if json.loads(view.body)["status"] not in ("needs_review", "running", "queued"):
                said.append(await command(here, "watch", job))
    for told in said:
        wrong = {char for char in told.out + told.err if not (char.isprintable() or char in "\n\t")}
        assert not wrong, wrong


async def test_names_and_words_of_people_break_nothing_either(hostile: tuple[Place, list[str]]) -> None:
    place, lines = hostile
    app = place.app()
    headers = {"Authorization": f"Bearer {await place.key('adam', 'admin')}"}
    job = await submitted(place, await place.caller(), "says", "Otters.")
    for text in SPEAKABLE:
        kept = await ask(app, "POST", f"/v1/files?name={quote(text[:900])}", headers, b"hello")
        assert kept.status in (201, 415, 422), kept.text()
        if kept.status == 201:
            row = json.loads(kept.body)
            assert row["name"].isprintable() and "/" not in row["name"] and len(row["name"]) <= 200
            content = await ask(app, "GET", f"/v1/artifacts/{row['id']}/content", headers)
            assert content.body == b"hello"
            assert all(value.isascii() and value.isprintable() for _, value in content.headers)
        head = {**headers, "Content-Disposition": f'attachment; filename="{quote(text[:300])}"'}
        assert (await ask(app, "POST", "/v1/files", head, b"hello")).status in (201, 415, 422)
        body = {
            "type": "says",
            "inputs": {"text": text[:1000]},
            "user": text[:200],
            "metadata": {"a": text[:500]},
        }
        for path, given in (
            ("/v1/jobs", body),
            (f"/v1/jobs/{job.id}/notes", {"text": text[:1000]}),
            ("/v1/cases", {"job": job.id, "reason": text[:500], "notes": text[:500]}),
            (f"/v1/jobs/{job.id}/cancel", {"reason": text[:500]}),
        ):
            sent = json.dumps(given).encode()
            answer = await ask(app, "POST", path, {**headers, "Content-Type": "application/json"}, sent)
            assert answer.status < 500, (path, text[:80], answer.text()[:300])
        for path in (f"/v1/jobs?q={quote(text[:200])}", f"/v1/jobs/{quote(text[:100], safe='')}"):
            assert (await ask(app, "GET", path, headers)).status < 500, (path, text[:80])
    assert not [line for line in lines if not line.isprintable()], lines
    assert rows(place, decisions) == []
    place.service.ports.log("a line\nreview.decided rev_1 approved\x1b[2J")
    assert lines[-1] == "a line�review.decided rev_1 approved�[2J"

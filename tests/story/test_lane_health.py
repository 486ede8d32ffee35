"""A provider in trouble: the lane is held, tried one run at a time, and reopened without a herd."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.core.health import BAD_AT_LEAST, waits_after
from backlane.core.job import Job
from backlane.service import lanes
from backlane.service.access import Caller
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.store.people import audit as audit_table
from backlane.store.tables import events
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.simulator.made_files import pdf
from tests.story.acts import creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.filed import asked, calls, filed_place, sent_in
from tests.values import small_app


def feed(place: Place, *kinds: str) -> list[str]:
    """The workspaces' events that belong to no job, by code."""
    wanted = events.select().where(events.c.type.in_(kinds), events.c.job_id.is_(None))
    rows = place.service.store.database.read_now(
        lambda connection: connection.execute(wanted).mappings().all()
    )
    return [json.loads(row["data"])["code"] for row in rows]


async def incidents(place: Place) -> list[dict[str, Any]]:
    return await place.service.store.read(lambda tx: tx.incidents())


async def storm(place: Place, caller: Caller) -> list[Job]:
    """The provider answers 500 until the lane is held; each create that met it asks a person."""
    fault(place, "server_error", times=None)
    met = [await submitted(place, caller) for _ in range(BAD_AT_LEAST)]
    for job in met:
        await seen(place, caller, job.id, lambda view: view["phase"] == "submission_unknown")
    assert [row["code"] for row in await incidents(place)] == ["provider_trouble"]
    return met


async def probes(place: Place, at_least: int) -> int:
    """How often the lane was tried, once it was tried so often."""
    for _ in range(1500):
        found = await incidents(place)
        if found and found[0]["probes"] >= at_least:
            return found[0]["probes"]
        await place.service.ports.clock.sleep(10)
    raise AssertionError(await incidents(place))


async def one_create_a_probe(
    place: Place, creates_before: int, probes_before: int, on_its_way: int = 0
) -> None:
    """Each try is one create, and nothing else is sent; the last one may not have arrived yet.

    `on_its_way`: how many creates may have been sent before the count began, and arrived after it.
    """
    least = (await incidents(place))[0]["probes"] - probes_before - 1
    arrived = creates(place) - creates_before
    most = (await incidents(place))[0]["probes"] - probes_before + on_its_way
    assert least <= arrived <= most, (least, arrived, most)


async def test_a_storm_of_errors_holds_the_lane_and_one_run_at_a_time_tries_it(working: Place) -> None:
    ana = await working.caller()
    await storm(working, ana)
    before = creates(working)
    waiting = [await submitted(working, ana) for _ in range(12)]
    for job in waiting:
        view = await seen(
            working, ana, job.id, lambda view: view["phase"] in ("incident", "submission_unknown")
        )
        if view["phase"] == "incident":
            assert "incident at the provider" in view["waiting_on"] and "next try at" in view["waiting_on"]
    await probes(working, 3)
    await one_create_a_probe(working, before, 0)
    sent = [
        event["data"]["probe"]
        for job in waiting
        for event in await events_of(working, ana, job.id)
        if event["type"] == "attempt.sent"
    ]
    assert sorted(sent) == list(range(1, len(sent) + 1))
    working.simulator.world.weather.clear()
    views = [await finished(working, ana, job) for job in waiting]
    ended = Counter(view["status"] for view in views)
    assert ended["completed"] == len(waiting) - ended["needs_review"]
    assert ended["needs_review"] < len(waiting) / 2
    assert await incidents(working) == []
    assert feed(working, "lane.held", "alert.raised") == ["provider_trouble"] * 2
    assert feed(working, "lane.released", "alert.cleared") == ["provider_trouble"] * 2
    verified(working)


async def test_running_runs_are_looked_at_during_an_incident(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 0.5})
    running = await submitted(working, ana)
    await seen(working, ana, running.id, lambda view: view["status"] == "running")
    await storm(working, ana)
    assert (await finished(working, ana, running))["status"] == "completed"
    assert [row["code"] for row in await incidents(working)] == ["provider_trouble"], (
        "a look does not reopen it"
    )
    verified(working)


async def test_a_reopened_lane_lets_its_jobs_go_a_few_at_once(tmp_path: Path, simulator: Running) -> None:
    settings = settings_for(tmp_path, simulator)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ana, olga = await place.caller(), await place.caller("olga", "operator")
    await lanes.hold(place.service.ports, olga, "background", None, "a change of accounts")
    await place.service.start_worker()
    jobs = [await submitted(place, ana) for _ in range(40)]
    for job in jobs:
        view = await seen(place, ana, job.id, lambda view: view["phase"] == "incident")
        assert "held" not in (view["failure"] or {}) and "a change of accounts" in view["waiting_on"]
    await place.service.drain()
    # Released while no worker runs, so that each job's time can be read before it goes.
    place.service = build(settings, types=small_app(), log=lambda line: None)
    assert await lanes.release(place.service.ports, olga, "background", None, "changed")
    now = place.service.ports.clock.now()
    rows = [await place.service.store.read(lambda tx, job=job: tx.job(job.id)) for job in jobs]
    times = sorted(row.due_at for row in rows if row is not None and row.due_at is not None)
    assert [at - times[0] for at in times] == [waits_after(number) for number in range(40)]
    by_second = Counter((at - times[0]) // 1000 for at in times)
    assert [by_second[second] for second in range(4)] == [3, 4, 8, 16]
    assert times[0] <= now
    assert creates(place) == 0
    await place.service.start_worker()
    views = [await finished(place, ana, job) for job in jobs]
    assert {view["status"] for view in views} == {"completed"}
    assert creates(place) == 40
    verified(place)
    await place.service.drain()


@pytest.mark.parametrize("account", ["revoked", "forbidden"])
async def test_a_key_that_is_revoked_midway_pauses_the_lane_at_once_with_one_alert(
    working: Place, account: str
) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 500})
    running = await submitted(working, ana)
    await seen(working, ana, running.id, lambda view: view["status"] == "running")
    working.simulator.profile(account=account)
    waiting = [await submitted(working, ana) for _ in range(8)]
    for job in waiting:
        await seen(working, ana, job.id, lambda view: view["phase"] == "incident")
    tried = (await incidents(working))[0]["probes"]
    before = creates(working)
    await probes(working, tried + 2)
    await one_create_a_probe(working, before, tried, on_its_way=1)
    assert len(feed(working, "alert.raised")) == 1
    assert (await read_job(working.service.ports, ana, running.id))["status"] == "running"
    working.simulator.profile(account="open")
    working.simulator.advance(600)
    views = [await finished(working, ana, job) for job in [running, *waiting]]
    assert {view["status"] for view in views} == {"completed"}
    assert working.simulator.world.stats()["runs"] == {"completed": 9}
    assert len(feed(working, "alert.raised")) == len(feed(working, "alert.cleared")) == 1
    verified(working)


@pytest.mark.parametrize("air", ["no_files", "provider_trouble"])
async def test_in_an_incident_only_the_job_that_tries_the_lane_uploads(
    tmp_path: Path, simulator: Running, air: str
) -> None:
    """An upload that is refused holds the lane as a create does, and is tried as gently."""
    async for place in filed_place(tmp_path, simulator, file_inline_at_most=0):
        ana = await place.caller()
        if air == "no_files":
            fault(place, "status", call="file_upload", status=403, code=air, times=None)
        else:
            fault(place, "overloaded", call="file_upload", times=None)
        await place.service.start_worker()
        files = [await sent_in(place, ana, pdf(f"Gate {number} is green.")) for number in range(6)]
        jobs = [await asked(place, ana, file) for file in files]
        for job in jobs:
            await seen(place, ana, job.id, lambda view: view["phase"] == "incident")
        assert [row["code"] for row in await incidents(place)] == [air]
        tried, before = (await incidents(place))[0]["probes"], len(calls(place, "file_upload"))
        await probes(place, tried + 2)
        least = len(calls(place, "file_upload")) - before
        assert least <= (await incidents(place))[0]["probes"] - tried + 1
        assert creates(place) == 0
        views = [await read_job(place.service.ports, ana, job.id) for job in jobs]
        assert {view["status"] for view in views} == {"queued"}, "each keeps its place"
        simulator.world.weather.clear()
        ended = [await finished(place, ana, job) for job in jobs]
        assert [(view["status"], len(view["attempts"])) for view in ended] == [("completed", 1)] * 6
        assert len(calls(place, "create")) == 6
        assert feed(place, "alert.raised", "alert.cleared") == [air] * 2
        verified(place)


@pytest.mark.parametrize("account", ["quota", "billing"])
async def test_a_good_look_does_not_end_a_stop_for_money(working: Place, account: str) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 500})
    running = await submitted(working, ana)
    await seen(working, ana, running.id, lambda view: view["status"] == "running")
    working.simulator.profile(account=account)
    waiting = await submitted(working, ana)
    await seen(working, ana, waiting.id, lambda view: view["phase"] == "incident")
    looks = working.simulator.world.stats()["retrieves"]
    await probes(working, 2)
    assert working.simulator.world.stats()["retrieves"] > looks
    assert len(feed(working, "alert.raised")) == 1 and feed(working, "alert.cleared") == []
    working.simulator.profile(account="open")
    assert (await finished(working, ana, waiting))["status"] == "completed"
    assert len(feed(working, "alert.raised")) == len(feed(working, "alert.cleared")) == 1
    verified(working)


class Asking:
    """Callers of the HTTP API, by role."""

    def __init__(self, place: Place) -> None:
        self._place, self._app, self._keys = place, place.app(), dict[str, str]()

    async def __call__(self, role: str, method: str, path: str, body: Any = None) -> httpx2.Response:
        if role not in self._keys:
            self._keys[role] = await self._place.key(f"{role}-1", role)
        headers = {"Authorization": f"Bearer {self._keys[role]}"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self._app), base_url="http://x", headers=headers
        ) as http:
            return await http.request(method, path, json=body)


def background(reply: httpx2.Response) -> dict[str, Any]:
    """The background lane, of what was told about lanes."""
    [lane] = [one for one in reply.json()["data"] if one["lane"] == "background"]
    return lane


async def test_the_lanes_tell_how_they_are(working: Place) -> None:
    ana, ask = await working.caller(), Asking(working)
    for _ in range(600):
        await finished(working, ana, await submitted(working, ana))
        lane = background(await ask("operator", "GET", "/v1/lanes"))
        if lane["health"]["good"]:
            break
    assert (lane["account"], lane["lane"], lane["simulated"]) == ("default", "background", True)
    assert (lane["incident"], lane["in_flight"], lane["waiting"]) == (None, 0, 0)
    assert (lane["health"]["bad"], lane["health"]["bad_rate"]) == (0, 0.0)
    assert lane["health"]["mean_delay_ms"] >= 0
    assert (await ask("submitter", "GET", "/v1/lanes")).status_code == 403
    await storm(working, ana)
    lane = background(await ask("support", "GET", "/v1/lanes"))
    assert lane["health"]["bad"] >= BAD_AT_LEAST
    assert lane["incident"]["code"] == "provider_trouble" and lane["incident"]["held_by"] is None


async def test_an_operator_holds_a_lane_for_the_own_workspace(working: Place) -> None:
    ana, bob = await working.caller(), await working.caller("bob", workspace="other")
    ask, body = Asking(working), {"reason": "a new account comes"}
    assert (await ask("submitter", "POST", "/v1/lanes/background/hold", body)).status_code == 403
    assert (await ask("operator", "POST", "/v1/lanes/nowhere/hold", body)).status_code == 404
    wrong = {**body, "account": "x"}
    assert (await ask("operator", "POST", "/v1/lanes/background/hold", wrong)).status_code == 422
    assert (await ask("operator", "POST", "/v1/lanes/background/hold", {})).status_code == 422
    held = background(await ask("operator", "POST", "/v1/lanes/background/hold", body))
    assert (held["incident"]["held_by"], held["incident"]["next_probe_at"]) == ("operator-1", None)
    mine, theirs = await submitted(working, ana), await submitted(working, bob)
    assert (await finished(working, bob, theirs))["status"] == "completed", "the other workspace is not held"
    waits = await seen(working, ana, mine.id, lambda view: view["phase"] == "incident")
    assert "an operator" in waits["waiting_on"] and "a new account comes" in waits["waiting_on"]
    assert background(await ask("operator", "GET", "/v1/lanes"))["waiting"] == 1
    reopened = background(await ask("operator", "POST", "/v1/lanes/background/release", body))
    assert reopened["incident"] is None
    assert (await finished(working, ana, mine))["status"] == "completed"
    rows = working.service.store.database.read_now(
        lambda connection: connection.execute(audit_table.select()).mappings().all()
    )
    told = [
        (row["actor"], row["action"], row["subject"]) for row in rows if row["action"].startswith("lane.")
    ]
    assert told == [("operator-1", f"lane.{what}", "default/background") for what in ("held", "released")]
    assert feed(working, "lane.held", "lane.released") == ["held_by_person"] * 2
    verified(working)

"""What holds over time: deploys, repeated requests, secrets, what is left at the provider."""

import asyncio
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import httpx2

from backlane.service.mark import hold, unhold
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import TEXT, events_of, fault, finished, script, seen, submitted, verified
from tests.values import small_app


async def test_a_waiting_job_of_an_older_version_runs_if_its_inputs_still_fit(place: Place) -> None:
    ana = await place.caller()
    fits = await submitted(place, ana)
    old = replace(fits, id="job_old", type_version="older")
    broken = replace(fits, id="job_broken", type_version="older")
    first = await events_of(place, ana, fits.id)
    assert first
    for job, inputs in ((old, {"text": TEXT}), (broken, {"words": TEXT})):
        body = json.dumps(inputs)
        digest = sha256(body.encode()).hexdigest()
        made = replace(job, inputs_digest=digest)
        await place.service.store.write(lambda tx, made=made, body=body: tx.insert_job(made, body, []))
    await place.service.start_worker()
    assert (await finished(place, ana, old))["status"] == "completed"
    view = await finished(place, ana, broken)
    assert (view["status"], view["failure"]["cause"], view["failure"]["code"]) == (
        "failed",
        "design",
        "type_changed",
    )
    assert [one["state"] for one in view["attempts"]] == ["canceled"]


async def test_a_repeated_request_finds_its_job_even_when_it_could_not_be_made_any_more(place: Place) -> None:
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {await place.key()}", "Idempotency-Key": "k"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        body = {"type": "digest", "inputs": {"text": TEXT}}
        made = await http.post("/v1/jobs", json=body)
        place.service.ports.types._types.pop("digest")  # pyright: ignore
        again = await http.post("/v1/jobs", json=body)
        assert (made.status_code, again.status_code) == (202, 200)
        assert again.json()["id"] == made.json()["id"]
        other = await http.post("/v1/jobs", json={**body, "priority": 3})
        assert other.json()["code"] == "idempotency-conflict"


async def test_no_provider_key_and_no_api_key_lies_in_the_database(working: Place, tmp_path: Path) -> None:
    ana = await working.caller()
    key = await working.key("root", "admin")
    await finished(working, ana, await submitted(working, ana, "draft"))
    fault(working, "status", status=401, times=1)
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["phase"] == "incident")
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"canary-5f2d" not in stored
    assert key.encode() not in stored
    assert key[4:].encode() not in stored


async def test_runs_are_deleted_at_the_provider_where_the_settings_ask_for_it(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, delete_at_provider=True)
    service = build(settings, types=small_app(), log=lambda line: None)
    place = Place(service, simulator, settings)
    await service.start_worker()
    ana = await place.caller()
    view = await finished(place, ana, await submitted(place, ana))
    assert view["status"] == "completed"
    await service.drain(grace=5)
    assert simulator.world.stats()["deletes"] == 1
    verified(place)


async def test_a_legal_hold_keeps_the_runs_at_the_provider_until_it_is_lifted(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, delete_at_provider=True)
    service = build(settings, types=small_app(), log=lambda line: None)
    place = Place(service, simulator, settings)
    ana, olga = await place.caller(), await place.caller("olga", "operator")
    job, free = await submitted(place, ana), await submitted(place, ana, "plain")
    await hold(place.service.ports, olga, job.id, "court, case 7")
    await service.start_worker()
    for one in (job, free):
        assert (await finished(place, ana, one))["status"] == "completed"

    async def deleted(count: int) -> None:
        for _ in range(300):
            if simulator.world.stats()["deletes"] == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(simulator.world.stats())

    await deleted(1)
    [line] = [line for line in simulator.world.log if line["call"] == "delete"]
    kept = (await read_job(service.ports, olga, job.id))["provider_response_id"]
    assert kept is not None and kept not in str(line)
    await unhold(service.ports, olga, job.id, "the court has ruled")
    await deleted(2)
    assert kept in str([line for line in simulator.world.log if line["call"] == "delete"][-1])
    await service.drain(grace=5)
    assert simulator.world.stats()["deletes"] == 2
    verified(place)


async def test_a_provider_that_asks_for_patience_is_looked_at_less(working: Place) -> None:
    ana = await working.caller()
    script(working, {"queued_seconds": 0, "running_seconds": 0.2})
    fault(working, "poll_after_ms", ms=600, call="create")
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    looks = [line for line in working.simulator.world.log if line["call"] == "retrieve"]
    assert len(looks) == 1


async def test_a_reviewer_sees_what_is_under_review_and_nothing_else(working: Place) -> None:
    ana, rita = await working.caller(), await working.caller("rita", "reviewer")
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    plain = await finished(working, ana, await submitted(working, ana))
    transport = httpx2.ASGITransport(app=working.app())
    headers = {"Authorization": f"Bearer {await working.key('rita', 'reviewer')}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        found = [job["id"] for job in (await http.get("/v1/jobs")).json()["data"]]
        assert found == [draft["id"]]
        rows = (await http.get("/v1/reviews?state=pending")).json()["data"]
        assert [row["job"] for row in rows] == [draft["id"]]
        result = next(row["id"] for row in draft["artifacts"] if row["kind"] == "result")
        assert (await http.get(f"/v1/artifacts/{result}/content")).status_code == 200
        assert (await http.get(f"/v1/jobs/{plain['id']}")).status_code == 404
        assert (
            await http.post("/v1/jobs", json={"type": "digest", "inputs": {"text": "x"}})
        ).status_code == 403
    assert (await read_job(working.service.ports, rita, draft["id"]))["allowed"] == [
        "approve",
        "request_changes",
        "reject",
        "escalate",
    ]


async def test_after_ten_runs_of_a_kind_people_are_told_how_long_it_usually_takes(working: Place) -> None:
    ana = await working.caller()
    script(working, {"queued_seconds": 0.0, "running_seconds": 0.2}, times=None)
    for number in range(10):
        view = await finished(working, ana, await submitted(working, ana))
        assert (await read_job(working.service.ports, ana, view["id"]))["progress"][
            "usually"
        ] is None or number == 9
    usually = (await read_job(working.service.ports, ana, view["id"]))["progress"]["usually"]
    assert 0.1 <= usually["p50_seconds"] <= usually["p90_seconds"]
    other = await submitted(working, ana, "plain")
    assert (await finished(working, ana, other))["progress"]["usually"] is None
    transport = httpx2.ASGITransport(app=working.app())
    headers = {"Authorization": f"Bearer {await working.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        for kind, told in (("digest", usually), ("plain", None)):
            made = await http.post("/v1/jobs", json={"type": kind, "inputs": {"text": TEXT}})
            assert (made.status_code, made.json()["progress"]["usually"]) == (202, told)

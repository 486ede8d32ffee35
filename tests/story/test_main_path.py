"""The main job, as the people around it live it: recorded first, run once, gated where it must be."""

import json
from dataclasses import replace
from datetime import datetime

import httpx2
import pytest

from backlane.errors import AwaitingReview, NotAllowed, NotFound, NotReleased, RoleRequired
from backlane.service import control, show
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acts import TEXT, contents, creates, events_of, finished, script, seen, submitted, verified


async def test_a_job_is_recorded_before_the_model_is_called(place: Place) -> None:
    ana = await place.caller()
    job = await submitted(place, ana)
    assert creates(place) == 0
    view = await read_job(place.service.ports, ana, job.id)
    assert (view["status"], view["phase"]) == ("queued", "ready")
    assert [event["type"] for event in await events_of(place, ana, job.id)] == [
        "job.submitted",
        "lane.chosen",
    ]


async def test_a_job_completes_with_a_validated_result_and_its_price(working: Place) -> None:
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed", view["failure"]
    assert [one["reason"] for one in view["attempts"]] == ["first"]
    kept = await contents(working, ana, view)
    assert json.loads(kept["result"])["summary"] in TEXT
    assert float(view["cost"]["settled"]) > 0
    assert view["cost"]["unpriced"] == 0
    assert view["simulated"] is True
    parts = [
        value
        for name, value in view["timing"].items()
        if name.endswith("_seconds") and name != "latency_budget_seconds"
    ]
    log = working.simulator.world.log[0]
    assert log["metadata"] == {"backlane_job": view["id"], "backlane_attempt": view["attempts"][0]["id"]}
    created, ended = (datetime.fromisoformat(view["timing"][name]) for name in ("created_at", "finished_at"))
    assert sum(part or 0 for part in parts) == pytest.approx((ended - created).total_seconds(), abs=1e-6)
    verified(working)


async def test_a_text_answer_keeps_its_citations(working: Place) -> None:
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana, "plain"))
    kept = await contents(working, ana, view)
    rows = json.loads(kept["citations"])
    assert rows
    for row in rows:
        assert row["claim"] in TEXT
        assert kept["result"][row["start"] : row["end"]] == row["claim"]
    assert [row["name"] for row in view["artifacts"] if row["kind"] == "result"] == ["result.md"]


async def test_checks_run_after_the_model_and_their_reports_are_kept(working: Place) -> None:
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana, "checked"))
    assert view["status"] == "completed"
    kept = await contents(working, ana, view)
    assert json.loads(kept["json"]) == {"check": "no_bad_words", "passed": True, "report": {"themes": 3}}
    failed = await finished(
        working, ana, await submitted(working, ana, "checked", "A bad otter ate all the sea urchins.")
    )
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "check_failed")
    assert failed["failure"]["partial_output"]
    verified(working)


@pytest.mark.parametrize(
    ("type_name", "more", "phase"),
    [
        ("draft", {}, "output"),
        ("effect", {}, "output"),
        ("digest", {"sensitive": True}, "sensitive"),
        ("digest", {"inputs": {"secret": "pin 4711"}}, "sensitive"),
    ],
)
async def test_a_gated_job_is_never_completed_unreviewed(
    working: Place, type_name: str, more: dict, phase: str
) -> None:
    ana, olga, root = (
        await working.caller(),
        await working.caller("olga", "operator"),
        await working.caller("root", "admin"),
    )
    job = await submitted(working, ana, type_name, **more)
    view = await finished(working, ana, job)
    assert (view["status"], view["phase"]) == ("needs_review", phase)
    assert view["review"]["state"] == "pending"
    assert view["review"]["payload_hash"] is None
    shown = await read_job(working.service.ports, olga, job.id)
    assert shown["review"]["payload_hash"].startswith("sha256:")
    result = next(row for row in view["artifacts"] if row["kind"] == "result")
    assert (result["bytes"], result["sha256"]) == (None, None)
    assert view["attempts"][0]["usage"] == {}
    with pytest.raises(AwaitingReview):
        await show.read_content(working.service.ports, ana, result["id"], None)
    for row in await events_of(working, ana, job.id):
        assert not {"usage", "sha256", "bytes", "name", "payload_hash"} & set(row["data"])
    assert (await show.read_content(working.service.ports, olga, result["id"], None)).content
    for verb in ("retry", "resolve"):
        assert verb not in (await read_job(working.service.ports, root, job.id))["allowed"]
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await read_job(working.service.ports, ana, job.id)
    assert (view["status"], view["review"]["state"]) == ("canceled", "expired")
    with pytest.raises(NotReleased):
        await show.read_content(working.service.ports, ana, result["id"], None)
    verified(working)


async def test_a_secret_is_in_no_summary_event_or_log(working: Place) -> None:
    ana = await working.caller()
    canary = "canary-8c1f"
    job = await submitted(working, ana, inputs={"secret": canary})
    view = await finished(working, ana, job)
    told = json.dumps([view, await events_of(working, ana, job.id)])
    assert canary not in told
    assert view["summary"] == f"text: {len(TEXT)} B, secret: sensitive"


async def test_nobody_sees_another_workspaces_or_submitters_jobs(working: Place) -> None:
    ana, ben = await working.caller(), await working.caller("ben")
    eve = await working.caller("eve", "admin", workspace="other")
    job = await submitted(working, ana)
    view = await finished(working, ana, job)
    ports = working.service.ports
    for stranger in (ben, eve):
        for ask in (
            lambda who: read_job(ports, who, job.id),
            lambda who: show.read_inputs(ports, who, job.id, "why"),
            lambda who: show.read_events(ports, who, job.id, 0, 10),
            lambda who: show.list_artifacts(ports, who, job.id),
            lambda who: show.read_content(ports, who, view["artifacts"][0]["id"], "why"),
            lambda who: control.cancel(ports, who, job.id, None),
            lambda who: control.retry(ports, who, job.id),
        ):
            with pytest.raises(NotFound):
                await ask(stranger)


async def test_support_reads_contents_only_with_a_reason(working: Place) -> None:
    ana, sue = await working.caller(), await working.caller("sue", "support")
    view = await finished(working, ana, await submitted(working, ana))
    ports, result = working.service.ports, view["artifacts"][0]["id"]
    with pytest.raises(RoleRequired):
        await show.read_content(ports, sue, result, None)
    with pytest.raises(RoleRequired):
        await show.read_inputs(ports, sue, view["id"], None)
    assert (await show.read_content(ports, sue, result, "ticket 7")).content
    for verb in (control.retry(ports, sue, view["id"]), control.cancel(ports, sue, view["id"], None)):
        with pytest.raises(RoleRequired):
            await verb
    assert await show.read_inputs(ports, sue, view["id"], "ticket 7") == {"text": TEXT}


async def test_a_retry_is_a_new_job_made_once_with_a_gate_no_looser(working: Place) -> None:
    ana = await working.caller()
    job = await submitted(working, ana, sensitive=True)
    await finished(working, ana, job)
    ports = working.service.ports
    with pytest.raises(NotAllowed) as refused:
        await control.retry(ports, ana, job.id)
    assert refused.value.extra["allowed"] == ["cancel", "escalate"]
    await control.cancel(ports, ana, job.id, None)
    first, new = await control.retry(ports, ana, job.id)
    again, newer = await control.retry(ports, ana, job.id)
    assert (new, newer, first.id) == (True, False, again.id)
    assert (first.retry_of, first.gate, first.submitted_by) == (job.id, "sensitive", "ana")
    old = await read_job(ports, ana, job.id)
    assert old["retried_as"] == first.id
    assert (await finished(working, ana, first))["phase"] == "sensitive"
    verified(working)


async def test_only_operators_cancel_where_the_type_says_so(working: Place) -> None:
    ana, olga = await working.caller(), await working.caller("olga", "operator")
    script(working, {"running_seconds": 100})
    job = await submitted(working, ana, "locked")
    assert (await read_job(working.service.ports, ana, job.id))["allowed"] == ["escalate"]
    with pytest.raises(RoleRequired):
        await control.cancel(working.service.ports, ana, job.id, None)
    await control.cancel(working.service.ports, olga, job.id, None)
    assert (await finished(working, ana, job))["status"] == "canceled"


async def test_over_http_a_caller_who_waits_gets_the_end_and_a_follower_every_event_once(
    working: Place,
) -> None:
    transport = httpx2.ASGITransport(app=working.app())
    headers = {"Authorization": f"Bearer {await working.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        body = {"type": "digest", "inputs": {"text": TEXT}}
        answer = await http.post("/v1/jobs", json=body, headers={"Prefer": "respond-async, wait=20"})
        assert (answer.status_code, answer.json()["status"]) == (200, "completed")
        job = answer.json()["id"]
        stream = {"Accept": "text/event-stream"}
        whole = (await http.get(f"/v1/jobs/{job}/events", headers=stream)).text
        pages = (await http.get(f"/v1/jobs/{job}/events?limit=200")).json()["data"]
        blocks = [block for block in whole.split("\n\n") if block.strip()]
        told = [
            json.loads(line[6:])
            for block in blocks
            for line in block.splitlines()
            if line.startswith("data: ")
        ]
        assert told == pages, "SSE and pages are the same rows"
        for resume in ({**stream, "Last-Event-ID": "5"}, stream):
            suffix = "" if "Last-Event-ID" in resume else "?after=5"
            rest = (await http.get(f"/v1/jobs/{job}/events{suffix}", headers=resume)).text
            ids = [int(line[4:]) for line in rest.splitlines() if line.startswith("id: ")]
            assert ids == list(range(6, len(pages) + 1))
        assert (await http.get(f"/v1/jobs/{job}/events?after={len(pages)}")).json()["data"] == []
        tag = (await http.get(f"/v1/jobs/{job}")).headers["etag"]
        assert (await http.get(f"/v1/jobs/{job}", headers={"If-None-Match": tag})).status_code == 304


async def test_over_http_content_is_a_download_with_ranges(working: Place) -> None:
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana))
    transport = httpx2.ASGITransport(app=working.app())
    headers = {"Authorization": f"Bearer {await working.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        path = f"/v1/artifacts/{view['artifacts'][0]['id']}/content"
        whole = await http.get(path)
        assert whole.headers["etag"] == f'"{view["artifacts"][0]["sha256"]}"'
        assert whole.headers["content-disposition"] == "attachment; filename*=UTF-8''result.json"
        assert whole.headers["x-content-type-options"] == "nosniff"
        for asked, status, expected in (
            ("bytes=0-4", 206, whole.content[:5]),
            ("bytes=5-", 206, whole.content[5:]),
            ("bytes=-7", 206, whole.content[-7:]),
            ("bytes=99999-", 416, b""),
            ("bytes=4-2", 416, b""),
            ("bytes=x", 200, whole.content),
            ("bytes=0-1,4-5", 200, whole.content),
        ):
            part = await http.get(path, headers={"Range": asked})
            assert (part.status_code, part.content) == (status, expected), asked


async def test_pages_of_jobs_never_skip_or_repeat(place: Place) -> None:
    ana = await place.caller()
    made = [(await submitted(place, ana)).id for _ in range(7)]
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {await place.key()}"}
    foreign = {"Authorization": f"Bearer {await place.key('eve', 'admin', 'other')}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        found, cursor = list[str](), ""
        while True:
            page = (await http.get(f"/v1/jobs?limit=3{cursor}")).json()
            found += [job["id"] for job in page["data"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert sorted(found) == sorted(made)
        assert found == list(reversed(made))
        assert (await http.get(f"/v1/jobs?limit=3{cursor}", headers=foreign)).status_code == 422


async def test_a_job_waits_for_its_start(working: Place) -> None:
    ana = await working.caller()
    start = working.service.ports.clock.now() + 400
    job = await submitted(working, ana, not_before=start)
    view = await finished(working, ana, job)
    attempt = await working.service.store.read(lambda tx: tx.attempts(job.id))
    assert view["status"] == "completed"
    assert attempt[0].planned_at >= start


async def test_a_type_that_is_gone_holds_its_jobs_with_one_alert(working: Place) -> None:
    ana = await working.caller()
    working.service.ports.types._types.pop("plain")  # pyright: ignore
    job = await submitted(working, ana)
    tx_job = replace(job, id="job_gone", type="plain")
    await working.service.store.write(lambda tx: tx.insert_job(tx_job, '{"text": "x"}', []))
    working.service.ports.notify()
    view = await seen(working, ana, "job_gone", lambda view: view["phase"] == "incident")
    assert view["status"] == "queued"
    incidents = await working.service.store.read(lambda tx: tx.incidents())
    assert [one["code"] for one in incidents] == ["type_not_loaded"]

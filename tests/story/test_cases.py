"""Cases: what a person looks after. They open by a word, by escalation, or by the type's table."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conftest import Place
from tests.story.acts import fault, finished, script, seen, submitted, verified
from tests.story.asking import asking


async def events_over_http(http: Any, job_id: str) -> list[dict[str, Any]]:
    return (await http.get(f"/jobs/{job_id}/events?limit=200")).json()["data"]


async def test_an_expiry_becomes_a_case_where_the_type_says_so(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 100}, times=None)
    job = await submitted(working, ana, "promised")
    view = await seen(
        working, ana, job.id, lambda view: view["status"] == "expired" and view["case"] is not None
    )
    async with asking(working, "sue", "support") as sue:
        cases = (await sue.get("/cases?state=open")).json()["data"]
        assert [case["id"] for case in cases] == [view["case"]]
        case = cases[0]
        assert (case["opened_by"], case["failure"]) == ("backlane", "Expired: its useful window passed")
        assert (case["job"], case["job_status"], case["owner"], case["notes"]) == (
            job.id,
            "expired",
            None,
            [],
        )
    told = [event["type"] for event in await _events(working, job.id)]
    assert told.index("job.expired") < told.index("case.opened")
    # Made again instead: the case stays for whoever promised something, and names the new job.
    async with asking(working) as requester:
        again = (await requester.post(f"/jobs/{job.id}/retry")).json()["id"]
        shown = (await requester.get(f"/cases/{view['case']}")).json()
        assert (shown["retried_as"], shown["state"]) == (again, "open")
    verified(working)


async def _events(place: Place, job_id: str) -> list[dict[str, Any]]:
    async with asking(place, "root", "admin") as root:
        return await events_over_http(root, job_id)


async def test_which_failures_open_a_case_is_the_types_table(working: Place) -> None:
    ana, rita = await working.caller(), await working.caller("rita", "reviewer")
    fault(working, "failed", times=1, code="invalid_prompt")
    plain = await finished(working, ana, await submitted(working, ana))
    assert (plain["status"], plain["case"]) == ("failed", None)
    draft = await finished(working, ana, await submitted(working, ana, "watched"))
    async with asking(working, "rita", "reviewer") as http:
        review = (await http.get(f"/reviews/{draft['review']['id']}")).json()
        body = {"decision": "reject", "payload_hash": review["payload_hash"], "reason_code": "wrong"}
        assert (await http.post(f"/reviews/{review['id']}/decisions", json=body)).status_code == 201
        view = (await http.get(f"/jobs/{draft['id']}")).json()
        case = (await http.get(f"/cases/{view['case']}")).json()
        assert (case["cause"], case["code"], case["failure"]) == (
            "review",
            "rejected",
            "Failed: A reviewer rejected it.",
        )
    assert rita.name == "rita"
    verified(working)


async def test_support_looks_after_a_case_from_its_opening_to_its_end(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    until = (datetime.now(UTC) + timedelta(hours=3)).isoformat()
    async with asking(working, "sue", "support") as sue, asking(working) as requester:
        body = {"job": job["id"], "reason": "the customer rang", "notes": "she was upset"}
        made = await sue.post("/cases", json=body)
        case = made.json()
        assert (made.status_code, made.headers["location"]) == (201, f"/v1/cases/{case['id']}")
        again = await sue.post("/cases", json={"job": job["id"], "reason": "twice"})
        assert (again.status_code, again.json()["id"]) == (200, case["id"])
        change = {"owner": "sue", "promise": "an answer by four", "promise_by": until}
        kept = (await sue.patch(f"/cases/{case['id']}", json=change)).json()
        assert (kept["owner"], kept["promise"]) == ("sue", "an answer by four")
        told = {"notes": "We look into it.", "for_requester": True}
        await sue.patch(f"/cases/{case['id']}", json=told)
        shown = (await requester.get(f"/cases/{case['id']}")).json()
        assert [note["text"] for note in shown["notes"]] == ["We look into it."]
        assert (shown["reason"], shown["promise"]) == (None, "an answer by four")
        assert (await requester.get(f"/jobs/{job['id']}")).json()["case"] == case["id"]
        closed = (await sue.patch(f"/cases/{case['id']}", json={"state": "closed", "owner": None})).json()
        assert (closed["state"], closed["closed_by"], closed["owner"]) == ("closed", "sue", None)
        await sue.patch(f"/cases/{case['id']}", json={"state": "closed"})
        assert [note["text"] for note in closed["notes"]] == ["she was upset", "We look into it."]
        kinds = [event["type"] for event in await events_over_http(requester, job["id"])]
        assert kinds[-4:] == ["case.opened", "job.noted", "job.noted", "case.closed"]
    verified(working)


async def test_a_closed_case_is_opened_again_unless_another_is_open(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with asking(working, "sue", "support") as sue:
        first = (await sue.post("/cases", json={"job": job["id"], "reason": "one"})).json()["id"]
        await sue.patch(f"/cases/{first}", json={"state": "closed"})
        reopened = (await sue.patch(f"/cases/{first}", json={"state": "open"})).json()
        assert (reopened["state"], reopened["closed_by"]) == ("open", None)
        await sue.patch(f"/cases/{first}", json={"state": "closed"})
        second = (await sue.post("/cases", json={"job": job["id"], "reason": "two"})).json()["id"]
        refused = await sue.patch(f"/cases/{first}", json={"state": "open"})
        assert (refused.status_code, refused.json()["code"]) == (409, "not-allowed")
        assert (await sue.get(f"/jobs/{job['id']}")).json()["case"] == second
        page = (await sue.get("/cases?limit=1")).json()
        assert [case["id"] for case in page["data"]] == [second]
        following = (await sue.get(f"/cases?limit=1&cursor={page['next_cursor']}")).json()
        assert ([case["id"] for case in following["data"]], following["next_cursor"]) == ([first], None)
    verified(working)


async def test_a_reviewer_finds_the_cases_of_what_is_or_was_theirs_to_review(working: Place) -> None:
    ana = await working.caller()
    kinds = ("draft", "draft", "digest", "chief")
    jobs = [await finished(working, ana, await submitted(working, ana, kind)) for kind in kinds]
    async with asking(working, "sue", "support") as sue, asking(working, "rita", "reviewer") as rita:
        bodies = [{"job": job["id"], "reason": f"canary {job['id']}"} for job in jobs]
        cases = [(await sue.post("/cases", json=body)).json()["id"] for body in bodies]
        # Handed on to an admin, it was a reviewer's to decide: it stays in sight.
        await rita.post(f"/jobs/{jobs[0]['id']}/escalate", json={"reason": "not mine to say"})
        assert [(await rita.get(f"/cases/{one}")).status_code for one in cases] == [200, 200, 404, 404]
        assert [one["id"] for one in (await rita.get("/jobs")).json()["data"]] == [
            jobs[1]["id"],
            jobs[0]["id"],
        ]
        page = (await rita.get("/cases?limit=1")).json()
        rest = (await rita.get(f"/cases?limit=1&cursor={page['next_cursor']}")).json()
        assert [one["id"] for one in (*page["data"], *rest["data"])] == [cases[1], cases[0]]
        assert rest["next_cursor"] is None
        for one in (*page["data"], *rest["data"]):
            assert one == (await rita.get(f"/cases/{one['id']}")).json()
    async with asking(working) as mine:
        listed = (await mine.get("/cases")).json()["data"]
        assert [one["id"] for one in listed] == cases[::-1]
        assert "canary" not in str(listed)
    verified(working)


async def test_a_case_is_seen_by_whoever_sees_its_job_and_changed_by_those_who_help(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with asking(working) as requester:
        case = (
            await requester.post("/cases", json={"job": job["id"], "reason": "something is wrong"})
        ).json()
        assert case["reason"] == "something is wrong"
        assert (await requester.patch(f"/cases/{case['id']}", json={"state": "closed"})).status_code == 403
    outside = (("ben", "submitter", "main"), ("rita", "reviewer", "main"), ("eve", "admin", "other"))
    for name, role, workspace in outside:
        async with asking(working, name, role, workspace) as http:
            missing = await http.get("/cases/case_nowhere")
            found = await http.get(f"/cases/{case['id']}")
            assert (found.status_code, found.content) == (404, missing.content)
            assert (await http.get("/cases")).json()["data"] == []
            body = {"job": job["id"], "reason": "mine"}
            assert (await http.post("/cases", json=body)).status_code == 404
    for name, role in (("sue", "support"), ("olga", "operator"), ("root", "admin")):
        async with asking(working, name, role) as http:
            assert (await http.get(f"/cases?job={job['id']}")).json()["data"][0]["id"] == case["id"]
            assert (await http.patch(f"/cases/{case['id']}", json={"owner": name})).json()["owner"] == name
            assert (await http.patch(f"/cases/{case['id']}", json={"job": "x"})).status_code == 422
    verified(working)


async def test_a_note_is_for_colleagues_unless_it_is_marked_for_the_requester(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana, "draft"))
    canary = "canary-quoted-from-the-draft"
    async with asking(working, "rita", "reviewer") as rita, asking(working) as requester:
        path = f"/jobs/{job['id']}/notes"
        assert (await rita.post(path, json={"text": f"it says {canary}"})).status_code == 201
        assert (await rita.post(path, json={"text": "soon", "for_requester": True})).status_code == 201
        assert (await requester.post(path, json={"text": "thanks"})).status_code == 201
        assert (await rita.post(path, json={"text": " "})).status_code == 422
        mine = [(note["by"], note["text"]) for note in (await requester.get(path)).json()["data"]]
        assert mine == [("rita", "soon"), ("ana", "thanks")]
        assert len((await rita.get(path)).json()["data"]) == 3
        surfaces = [
            await requester.get(f"/jobs/{job['id']}"),
            await requester.get(f"/jobs/{job['id']}/events"),
        ]
        assert canary not in "".join(one.text for one in surfaces)
        told = [event for event in surfaces[1].json()["data"] if event["type"] == "job.noted"]
        assert [event["actor"] for event in told] == ["rita", "rita", "ana"]
        assert all("text" not in event["data"] for event in told)
    # Another role on another key does not open colleagues' words to the person who asked for the job.
    for role in ("reviewer", "operator", "admin"):
        async with asking(working, "ana", role) as also_ana:
            notes = (await also_ana.get(path)).json().get("data", [])
            assert canary not in str(notes)
    async with asking(working, "ben") as ben:
        assert (await ben.post(path, json={"text": "hello"})).status_code == 404
        assert (await ben.get(path)).status_code == 404
    verified(working)


async def test_unknown_submissions_are_resolved_in_bulk_each_for_itself(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply", times=3)
    lost = [await finished(working, ana, await submitted(working, ana)) for _ in range(3)]
    done = await finished(working, ana, await submitted(working, ana))
    ids = [*(view["id"] for view in lost), done["id"], "job_nowhere"]
    body = {"action": "resolve", "choice": "give_up", "reason": "the provider was down"}
    async with asking(working, "olga", "operator") as olga, asking(working) as requester:
        dry = (await olga.post("/jobs/bulk", json={**body, "ids": ids, "dry_run": True})).json()
        assert [row["ok"] for row in dry["data"]] == [True] * 3 + [False] * 2
        assert (await olga.get(f"/jobs/{ids[0]}")).json()["phase"] == "submission_unknown"
        refused = (await requester.post("/jobs/bulk", json={**body, "ids": ids[:1]})).json()["data"]
        assert (refused[0]["ok"], refused[0]["error"]["code"]) == (False, "role-required")
        found = {"phase": "submission_unknown"}
        told = (await olga.post("/jobs/bulk", json={**body, "filter": found})).json()
        assert (told["done"], told["refused"], told["more"]) == (3, 0, False)
        assert {row["status"] for row in told["data"]} == {"failed"}
        rest = (await olga.post("/jobs/bulk", json={**body, "ids": ids[3:]})).json()["data"]
        assert [row["error"]["code"] for row in rest] == ["not-allowed", "not-found"]
        archived = await requester.post(
            "/jobs/bulk",
            json={"action": "archive", "reason": "old", "filter": {"status": "failed,completed"}},
        )
        assert archived.json()["done"] == 4
        assert (await requester.get("/jobs")).json()["data"] == []
        for wrong in (
            {**body},
            {**body, "ids": ids, "filter": found},
            {"action": "resolve", "reason": "no choice", "ids": ids},
            {"action": "archive", "choice": "give_up", "reason": "a choice", "ids": ids},
            {**body, "ids": []},
            {**body, "ids": ids, "choice": "attach"},
        ):
            assert (await olga.post("/jobs/bulk", json=wrong)).status_code == 422
    verified(working)

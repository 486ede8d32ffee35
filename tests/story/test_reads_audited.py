"""Every answer that shows others what an action would do, or quotes a run, is one line of the audit log, no more."""

from typing import Any

from backlane.service.make_key import make_key
from backlane.service.read import read_job
from tests.conftest import Place
from tests.release.probe import ask
from tests.story.acting import acting, asked_for, world
from tests.story.action_types import World
from tests.story.acts import fault, finished, script, seen, submitted, verified
from tests.story.asking import asking

__all__ = ["acting", "world"]  # fixtures
READS = ("job.read", "jobs.read", "reviews.read", "review.read", "action.read", "case.read", "cases.read")


async def reads(place: Place) -> list[tuple[str, str, str]]:
    """Who read what, oldest first."""
    async with asking(place, "root", "admin") as root:
        lines = (await root.get("/audit?limit=200")).json()["data"]
    return [(one["actor"], one["action"], one["subject"]) for one in lines if one["action"] in READS]


async def lines_of(place: Place, action: str) -> list[dict[str, Any]]:
    async with asking(place, "root", "admin") as root:
        return (await root.get(f"/audit?limit=200&action={action}")).json()["data"]


async def test_whoever_reads_what_anothers_action_would_do_is_on_record(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    await asked_for(acting, ana)
    before = len(await reads(acting))
    workspace = ana.workspace
    async with asking(acting, "rita", "reviewer") as rita, asking(acting, "olga", "operator") as olga:
        view = (await olga.get(f"/jobs/{job.id}")).json()
        action = view["actions"][0]
        assert action["arguments"]["order"] == "o-17"
        tag = {"If-None-Match": (await olga.get(f"/jobs/{job.id}")).headers["etag"]}
        assert (await olga.get(f"/jobs/{job.id}", headers=tag)).status_code == 304
        assert len((await rita.get("/reviews")).json()["data"]) == 2
        assert len((await olga.get("/jobs")).json()["data"]) == 2
        await rita.get(f"/reviews/{review['id']}")
        await olga.get(f"/actions/{action['id']}")
    assert (await reads(acting))[before:] == [
        ("olga", "job.read", job.id), ("olga", "job.read", job.id), ("rita", "reviews.read", workspace),
        ("olga", "jobs.read", workspace), ("rita", "review.read", review["id"]), ("olga", "action.read", action["id"]),
    ]  # fmt: skip
    for name in ("reviews.read", "jobs.read"):
        [line] = await lines_of(acting, name)
        assert len(line["data"]["jobs"]) == 2 and job.id in line["data"]["jobs"]
        assert "o-17" not in str(line)
    verified(acting, world.log())


async def test_reads_that_show_nothing_of_others_are_no_lines(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, _ = await asked_for(acting, ana)
    before = len(await reads(acting))
    async with (
        asking(acting) as own,
        asking(acting, "ana", "reviewer") as also,
        asking(acting, "sue", "support") as sue,
    ):
        for http in (own, also, sue):
            shown = (await http.get(f"/jobs/{job.id}")).json()
            assert shown["actions"][0]["arguments"] is None
            await http.get("/jobs")
        assert all(one["payload"] is None for one in (await also.get("/reviews")).json()["data"])
        assert len(await reads(acting)) == before
        shown = (await sue.get(f"/jobs/{job.id}?reason=the+customer+rang")).json()
        assert shown["actions"][0]["arguments"] is not None
    [line] = await lines_of(acting, "job.read")
    assert (line["actor"], line["data"]["reason"]) == ("sue", "the customer rang")
    verified(acting, world.log())


async def test_a_case_that_is_changed_and_a_token_that_is_minted_are_lines(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with asking(working, "sue", "support") as sue:
        case = (await sue.post("/cases", json={"job": job["id"], "reason": "it rang"})).json()["id"]
        await sue.patch(f"/cases/{case}", json={"owner": "sue"})
        await sue.patch(f"/cases/{case}", json={"owner": "sue"})
    [line] = await lines_of(working, "case.change")
    assert (line["actor"], line["subject"], line["data"]["owner"]) == ("sue", case, "sue")
    ports = working.service.ports
    made = await working.service.store.write(
        lambda tx: make_key(
            tx, ports, b"p" * 23, role="submitter", workspace="main", name="portal", service=True
        )
    )
    async with asking(working) as http:
        http.headers["Authorization"] = f"Bearer {made.key}"
        assert (await http.post("/tokens", json={"user": "una"})).status_code == 201
    [line] = await lines_of(working, "token.minted")
    assert (line["actor"], line["subject"], line["data"]["user"]) == ("portal", made.id, "una")
    verified(working)


async def test_a_verbs_answer_that_shows_an_action_is_a_line_too(acting: Place, world: World) -> None:
    ana, olga = await acting.caller(), await acting.caller("olga", "operator")
    job, _ = await asked_for(acting, ana)
    action = (await read_job(acting.service.ports, olga, job.id))["actions"][0]["id"]
    bodies: dict[str, dict[str, Any]] = {
        "escalate": {"reason": "late"}, "resolve": {"choice": "give_up"}, "messages": {"text": "x"},
        "notes": {"text": "x"},
    }  # fmt: skip
    paths = [
        one.removeprefix("/v1")
        for one, methods in acting.app().openapi()["paths"].items()
        if "post" in methods
    ]
    verbs = sorted(one.rpartition("/")[2] for one in paths if one.startswith("/jobs/{job_id}/"))
    # What ends the job comes last; what comes twice changes nothing the second time, and shows as much.
    told, after = list[str](), [one for one in verbs if one != "cancel"]
    async with asking(acting, "olga", "operator") as http:
        for verb in (*after, *after, "cancel", "archive", "archive", "retry", "retry"):
            before = len(await reads(acting))
            answer = await http.post(f"/jobs/{job.id}/{verb}", json=bodies.get(verb, {}))
            shows = "o-17" in answer.text
            told += [verb] if shows else []
            lines = (await reads(acting))[before:]
            assert lines == ([("olga", "job.read", job.id)] if shows else []), (verb, answer.status_code)
        for path, body in (
            (f"/jobs/{job.id}/cancel", {}),
            ("/jobs/bulk", {"action": "hold", "reason": "x", "ids": [job.id]}),
            (f"/actions/{action}/resolve", {"outcome": "happened"}),
            ("/cases", {"job": job.id, "reason": "x"}),
        ):
            before = len(await reads(acting))
            assert "o-17" not in (await http.post(path, json=body)).text
            assert len(await reads(acting)) == before, path
    assert set(told) == {"escalate", "hold", "release", "sensitive", "cancel", "archive"}
    verified(acting, world.log())


async def test_a_verb_of_the_requester_or_of_support_without_a_reason_is_no_line(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, _ = await asked_for(acting, ana)
    before = len(await reads(acting))
    async with asking(acting) as own:
        answer = await own.post(f"/jobs/{job.id}/escalate", json={"reason": "please"})
        assert (answer.status_code, "o-17" in answer.text) == (200, False)
        await own.post(f"/jobs/{job.id}/cancel", json={})
    assert len(await reads(acting)) == before
    verified(acting, world.log())


QUOTED = "It had begun PROVCANARY"
FAILS = {"status": "failed", "error_code": "invalid_prompt", "error_message": QUOTED}


async def test_a_failure_that_quotes_the_run_is_told_on_record_and_to_support_for_a_reason(
    working: Place,
) -> None:
    ana = await working.caller()
    script(working, FAILS)
    job = await finished(working, ana, await submitted(working, ana, "draft"))
    async with (
        asking(working) as own,
        asking(working, "sue", "support") as sue,
        asking(working, "olga", "operator") as olga,
    ):
        case = (await sue.post("/cases", json={"job": job["id"], "reason": "it rang"})).json()["id"]
        one, many, cases = f"/jobs/{job['id']}", "/jobs", "/cases"
        before = len(await reads(working))
        for http in (own, sue):
            for path in (one, many, cases, f"{cases}/{case}", f"{one}/events"):
                answer = await http.get(path)
                assert answer.status_code == 200 and "PROVCANARY" not in answer.text, path
        assert (await sue.get(one)).json()["failure"]["code"] == "invalid_prompt"
        assert len(await reads(working)) == before, "nothing was told"
        for path in (one, many, cases, f"{cases}/{case}"):
            assert "PROVCANARY" in (await olga.get(path)).text, path
        for path in (one, f"{cases}/{case}"):
            assert "PROVCANARY" in (await sue.get(f"{path}?reason=it+rang")).text, path
        assert "PROVCANARY" in (await olga.post(f"{one}/hold", json={})).text
        assert "PROVCANARY" in (await olga.patch(f"{cases}/{case}", json={"owner": "olga"})).text
    workspace, first, last = ana.workspace, ("job.read", job["id"]), ("case.read", case)
    assert (await reads(working))[before:] == [
        ("olga", *first),
        ("olga", "jobs.read", workspace),
        ("olga", "cases.read", workspace),
        ("olga", *last),
        ("sue", *first),
        ("sue", *last),
        ("olga", *first),
        ("olga", *last),
    ]
    for name in ("jobs.read", "cases.read"):
        assert [line["data"]["jobs"] for line in await lines_of(working, name)] == [[job["id"]]]
    assert "PROVCANARY" not in str(await lines_of(working, "case.read"))
    verified(working)


async def test_an_open_failure_is_no_line_but_for_support(working: Place) -> None:
    ana = await working.caller()
    script(working, FAILS)
    job = await finished(working, ana, await submitted(working, ana))
    fault(working, "status", status=400, message="not so: PROVCANARY")
    sent = await finished(working, ana, await submitted(working, ana))
    assert "PROVCANARY" in sent["failure"]["message"], "whoever sent it in may read it"
    before = len(await reads(working))
    async with asking(working, "sue", "support") as sue, asking(working, "olga", "operator") as olga:
        for one in (job, sent):
            assert "PROVCANARY" in (await olga.get(f"/jobs/{one['id']}")).text
            assert "PROVCANARY" not in (await sue.get(f"/jobs/{one['id']}")).text
        assert len(await reads(working)) == before
        for one in (job, sent):
            assert "PROVCANARY" in (await sue.get(f"/jobs/{one['id']}?reason=why")).text
    assert (await reads(working))[before:] == [("sue", "job.read", one["id"]) for one in (job, sent)]
    verified(working)


async def test_support_that_follows_a_job_from_its_start_is_on_record_before_it_writes(
    working: Place,
) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 5000, "text": "never"})
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["status"] == "running")
    key = await working.key("sue", "support")
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    for query, lines in (("", 0), ("?reason=it+rang", 1)):
        assert (await ask(working.app(), "GET", f"/v1/jobs/{job.id}/events{query}", headers)).status == 200
        assert len(await lines_of(working, "events.read")) == lines
    verified(working)

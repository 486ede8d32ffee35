"""What a refusal says is allowed is what the job itself says, whoever asks, and what a dry run says comes true."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx2

from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, asked_for, done, world
from tests.story.action_types import World
from tests.story.acts import events_of, fault, finished, seen, submitted, verified
from tests.story.asking import asking

__all__ = ["acting", "world"]


async def refused(
    http: httpx2.AsyncClient,
    job_id: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    method: str = "POST",
) -> list[str]:
    """What is allowed, where this is not: the job's own list for this caller."""
    answer = await http.request(method, path, json=dict(body or {}))
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (409, "not-allowed"), problem
    assert problem["allowed"] == (await http.get(f"/jobs/{job_id}")).json()["allowed"]
    return problem["allowed"]


async def test_a_refusal_lists_what_this_caller_may_do_to_what_is_reviewed(working: Place) -> None:
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana, "draft"))
    job = view["id"]
    async with asking(working, "root", "admin") as root, asking(working) as mine:
        assert await refused(root, job, f"/jobs/{job}/archive") == [
            "cancel", "approve", "request_changes", "reject", "escalate", "hold",
        ]  # fmt: skip
        assert await refused(mine, job, f"/jobs/{job}/retry") == ["cancel", "escalate"]
        await mine.post(f"/jobs/{job}/cancel")
        assert await refused(root, job, f"/jobs/{job}/sensitive") == ["retry", "archive", "hold"]
        await mine.post(f"/jobs/{job}/archive")
        assert "unarchive" in await refused(mine, job, f"/jobs/{job}/cancel")
    verified(working)


async def test_a_refusal_of_what_nobody_can_know_lists_what_this_caller_may_do(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply")
    view = await finished(working, ana, await submitted(working, ana))
    job, review = view["id"], view["review"]["id"]
    async with asking(working, "root", "admin") as root:
        decision = {"decision": "approve", "payload_hash": view["review"]["payload_hash"]}
        for path, body in (("claim", {}), ("decisions", decision)):
            assert "resolve" in await refused(root, job, f"/reviews/{review}/{path}", body)
        await root.post(f"/jobs/{job}/resolve", json={"choice": "give_up"})
        assert "retry" in await refused(root, job, f"/jobs/{job}/resolve", {"choice": "give_up"})
        first = (await root.post("/cases", json={"job": job, "reason": "one"})).json()["id"]
        await root.patch(f"/cases/{first}", json={"state": "closed"})
        await root.post("/cases", json={"job": job, "reason": "two"})
        await refused(root, job, f"/cases/{first}", {"state": "open"}, "PATCH")
    verified(working)


async def test_while_an_action_is_under_way_cancel_is_neither_allowed_nor_listed(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    world.holds.clear()
    job, review = await asked_for(acting, ana, {**REFUND, "how": "held"})
    async with asking(acting, "root", "admin") as root, asking(acting) as mine:
        action = (await root.get(f"/jobs/{job.id}")).json()["actions"][0]["id"]
        for verb, body in (("undo", {}), ("resolve", {"outcome": "happened", "notes": "seen"})):
            assert "approve" in await refused(root, job.id, f"/actions/{action}/{verb}", body)
        await approve(acting, review)
        await asyncio.wait_for(world.entered.wait(), 10)
        dry = {"action": "cancel", "ids": [job.id], "reason": "no", "dry_run": True}
        for http in (root, mine):
            assert "cancel" not in await refused(http, job.id, f"/jobs/{job.id}/cancel")
            [row] = (await http.post("/jobs/bulk", json=dry)).json()["data"]
            assert (row["ok"], row["error"]["code"]) == (False, "not-allowed")
            assert "cancel" not in row["error"]["allowed"]
        assert "cancel" not in await refused(root, job.id, f"/jobs/{job.id}/archive")
        world.holds.set()
        await seen(acting, ana, job.id, done)
    verified(acting, world.log())


async def standing(http: httpx2.AsyncClient, job_id: str) -> list[Any]:
    """All that a job is, but for the time that passes, and all that was told of it."""
    job = (await http.get(f"/jobs/{job_id}")).json()
    del job["timing"]
    return [job, (await http.get(f"/jobs/{job_id}/events")).json()]


async def test_a_dry_run_says_what_the_real_run_does_and_does_nothing(working: Place) -> None:
    ana = await working.caller()
    ended = await finished(working, ana, await submitted(working, ana))
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    ids = [ended["id"], draft["id"], "job_nowhere"]
    async with asking(working, "root", "admin") as root:
        for action in (
            "archive",
            "archive",
            "hold",
            "hold",
            "release",
            "unarchive",
            "escalate",
            "cancel",
            "retry",
        ):
            before = [await standing(root, one) for one in ids[:2]]
            body = {"action": action, "ids": ids, "reason": "spring cleaning"}
            dry = (await root.post("/jobs/bulk", json={**body, "dry_run": True})).json()["data"]
            assert [await standing(root, one) for one in ids[:2]] == before
            real = (await root.post("/jobs/bulk", json=body)).json()["data"]
            told = [
                [(row["ok"], row["error"] and row["error"]["code"]) for row in run] for run in (dry, real)
            ]
            assert told[0] == told[1], action
    kept = [event for event in await events_of(working, ana, ended["id"]) if event["type"] == "job.retried"]
    assert [event["data"]["why"] for event in kept] == ["spring cleaning"]
    verified(working)

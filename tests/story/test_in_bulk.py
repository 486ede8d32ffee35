"""One verb over many jobs by the API: each is asked for itself, and who finds too many is told that there are more."""

from typing import Any

from tests.conftest import Place
from tests.story.acts import TEXT, creates, fault, finished, script, seen, submitted, verified
from tests.story.asking import asking
from tests.story.test_retries import cut


async def bulk(http: Any, action: str, **more: Any) -> dict[str, Any]:
    answer = await http.post("/jobs/bulk", json={"action": action, "reason": "an outage", **more})
    assert answer.status_code == 200, answer.text
    return answer.json()


def outcomes(told: dict[str, Any]) -> list[str]:
    return [row["error"]["code"] if row["error"] else "done" for row in told["data"]]


async def test_cancel_in_bulk_stops_each_that_is_open(working: Place) -> None:
    ana = await working.caller()
    ended = await finished(working, ana, await submitted(working, ana))
    script(working, {"running_seconds": 100}, times=None)
    jobs = [await submitted(working, ana) for _ in range(3)]
    for job in jobs:
        await seen(working, ana, job.id, lambda view: view["status"] == "running")
    locked = await submitted(working, ana, "locked")
    async with asking(working) as mine, asking(working, "ben") as ben:
        ids = [ended["id"], *(job.id for job in jobs), locked.id]
        assert outcomes(await bulk(ben, "cancel", ids=ids)) == ["not-found"] * 5
        told = await bulk(mine, "cancel", ids=[*ids, ids[1]])
        assert outcomes(told) == ["not-allowed", "done", "done", "done", "role-required"]
        assert (told["done"], told["refused"], told["more"]) == (3, 2, False)
    for job in jobs:
        assert (await finished(working, ana, job))["status"] == "canceled"
    async with asking(working, "olga", "operator") as olga:
        assert outcomes(await bulk(olga, "cancel", filter={"type": "locked"})) == ["done"]
    assert (await finished(working, ana, locked))["status"] == "canceled"
    verified(working)


async def test_retry_in_bulk_makes_each_again_once(working: Place) -> None:
    ana = await working.caller()
    fault(working, "failed", times=2, code="invalid_prompt")
    failed = [(await finished(working, ana, await submitted(working, ana)))["id"] for _ in range(2)]
    waiting = await finished(working, ana, await submitted(working, ana, "draft"))
    script(working, cut(TEXT))
    failed.append((await finished(working, ana, await submitted(working, ana)))["id"])
    async with asking(working) as mine:
        told = await bulk(mine, "retry", ids=[*failed, waiting["id"]])
        assert outcomes(told) == ["done", "done", "done", "not-allowed"]
        made = [row["retried_as"] for row in told["data"][:3]]
        assert len(set(made)) == 3
        # Each is from the start, and a second time it is the same one.
        again = await bulk(mine, "retry", filter={"status": "failed"})
        assert sorted(row["retried_as"] for row in again["data"]) == sorted(made)
        for job, source in zip(made, failed, strict=True):
            view = await seen(working, ana, job, lambda one: one["status"] == "completed")
            assert (view["retry_of"], view["submitted_by"]) == (source, "ana")
            first = (await mine.get(f"/jobs/{job}/events")).json()["data"][0]
            assert "goes_on_from" not in first["data"]
    assert creates(working) == 7
    verified(working)


async def test_release_in_bulk_lifts_each_hold_and_is_for_operators(working: Place) -> None:
    ana = await working.caller()
    ids = [(await finished(working, ana, await submitted(working, ana)))["id"] for _ in range(3)]
    async with asking(working) as mine, asking(working, "olga", "operator") as olga:
        assert outcomes(await bulk(mine, "hold", ids=ids)) == ["role-required"] * 3
        assert (await bulk(olga, "hold", filter={"user": None, "status": "completed"}))["done"] == 3
        assert outcomes(await bulk(mine, "release", ids=ids)) == ["role-required"] * 3
        assert all([(await mine.get(f"/jobs/{one}")).json()["held"] for one in ids])
        told = await bulk(olga, "release", ids=[*ids, "job_nowhere"])
        assert outcomes(told) == ["done", "done", "done", "not-found"]
        assert not any([(await mine.get(f"/jobs/{one}")).json()["held"] for one in ids])
    verified(working)


async def test_who_finds_more_than_200_jobs_is_told_so_and_asks_again(place: Place) -> None:
    ana = await place.caller()
    for _ in range(205):
        await submitted(place, ana)
    async with asking(place) as mine:
        wanted = {"filter": {"status": "queued"}}
        dry = await bulk(mine, "cancel", dry_run=True, **wanted)
        assert (len(dry["data"]), dry["done"], dry["more"]) == (200, 200, True)
        first = await bulk(mine, "cancel", **wanted)
        assert (first["done"], first["refused"], first["more"]) == (200, 0, True)
        assert [row["job"] for row in first["data"]] == [row["job"] for row in dry["data"]]
        rest = await bulk(mine, "cancel", **wanted)
        assert (rest["done"], rest["more"]) == (5, False)
        assert (await bulk(mine, "cancel", **wanted))["data"] == []
        ids = [row["job"] for row in (*first["data"], *rest["data"])]
        assert len(set(ids)) == 205
        too_many = await mine.post("/jobs/bulk", json={"action": "archive", "reason": "x", "ids": ids})
        assert (too_many.status_code, too_many.json()["errors"][0]["pointer"]) == (422, "/ids")
    verified(place)

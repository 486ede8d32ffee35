"""People who decide, cancel and edit at the very same moment, over real HTTP, on both databases: one outcome."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import finished, seen, submitted, verified
from tests.story.commands import served
from tests.values import small_app

Ask = tuple[str, str, str, dict[str, Any]]


@pytest.fixture
async def both(database: dict[str, Any], tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service whose worker runs, on each database."""
    chosen = settings_for(tmp_path, simulator, **database)
    service = build(chosen, types=small_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


async def at_once(url: str, asks: list[Ask]) -> list[tuple[int, str]]:
    """Send them all from as many threads, let go by one barrier: status and code of each."""
    barrier = threading.Barrier(len(asks))

    def one(ask: Ask) -> tuple[int, str]:
        key, method, path, body = ask
        with httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
            client.get("/healthz")
            barrier.wait(timeout=30)
            answer = client.request(method, path, json=body)
            return answer.status_code, answer.json().get("code", "")

    return await asyncio.gather(*(asyncio.to_thread(one, ask) for ask in asks))


async def waiting(place: Place, type_name: str = "draft") -> dict[str, Any]:
    """A job that waits for its review, as an operator sees it."""
    ana, olga = await place.caller(), await place.caller("olga", "operator")
    view = await finished(place, olga, await submitted(place, ana, type_name))
    assert view["status"] == "needs_review", view["failure"]
    return view


def decision(view: dict[str, Any], word: str = "approve", **more: Any) -> dict[str, Any]:
    return {"decision": word, "payload_hash": view["review"]["payload_hash"], **more}


def decided(place: Place) -> list[str]:
    """Every decision that was kept, with its person."""
    rows = place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql("SELECT actor, decision FROM decisions").all()
    )
    return [f"{row[1]} by {row[0]}" for row in rows]


async def ends(place: Place, view: dict[str, Any]) -> dict[str, Any]:
    olga = await place.caller("olga", "operator")
    return await seen(
        place, olga, view["id"], lambda one: one["status"] not in ("needs_review", "running", "queued")
    )


EDIT = {"summary": "better", "themes": ["kelp"]}


@pytest.mark.parametrize("race", ["two people", "one person, four clicks", "two words", "an edit beside it"])
async def test_of_many_decisions_at_once_one_counts(both: Place, race: str) -> None:
    view = await waiting(both)
    rita, rob = await both.key("rita", "reviewer"), await both.key("rob", "reviewer")
    path = f"/v1/reviews/{view['review']['id']}/decisions"
    yes, no = decision(view), decision(view, "reject", notes="no")
    edited = decision(view, edits=EDIT)
    asks: dict[str, list[Ask]] = {
        "two people": [(rita, "POST", path, yes), (rob, "POST", path, yes)] * 2,
        "one person, four clicks": [(rita, "POST", path, yes)] * 4,
        "two words": [(rita, "POST", path, yes), (rob, "POST", path, no)],
        "an edit beside it": [(rita, "POST", path, yes), (rob, "POST", path, edited)],
    }
    async with served(both) as url:
        told = await at_once(url, asks[race])
    assert sorted(status for status, _ in told) == [201] + [409] * (len(told) - 1), told
    assert {code for status, code in told if status == 409} <= {"already-decided", "stale-payload"}
    assert len(decided(both)) == 1
    ended = await ends(both, view)
    assert ended["status"] == ("failed" if decided(both)[0].startswith("reject") else "completed")
    verified(both)


async def test_a_quorum_of_two_counts_two_people_who_decide_at_once(both: Place) -> None:
    view = await waiting(both, "pair")
    keys = [await both.key(name, "reviewer") for name in ("rita", "rob", "rosa")]
    path = f"/v1/reviews/{view['review']['id']}/decisions"
    async with served(both) as url:
        told = await at_once(url, [(key, "POST", path, decision(view)) for key in (*keys, keys[0])])
    assert sorted(status for status, _ in told) == [201, 201, 409, 409], told
    assert len(set(decided(both))) == 2
    assert (await ends(both, view))["status"] == "completed"
    verified(both)


async def test_an_approval_beside_a_cancel_has_one_end(both: Place) -> None:
    ana, rita = await both.key(), await both.key("rita", "reviewer")
    ended: set[str] = set()
    async with served(both) as url:
        for _ in range(3):
            view = await waiting(both)
            approve: Ask = (rita, "POST", f"/v1/reviews/{view['review']['id']}/decisions", decision(view))
            cancel: Ask = (ana, "POST", f"/v1/jobs/{view['id']}/cancel", {})
            (approved, code), (canceled, _) = await at_once(url, [approve, cancel])
            end = (await ends(both, view))["status"]
            won = {"completed": (201, 409), "canceled": (approved, 200)}[end]
            assert (approved, canceled) == won and (end == "completed" or approved in (409, 410)), code
            ended.add(end)
    assert ended <= {"completed", "canceled"}
    verified(both)


async def test_an_approval_beside_the_windows_end_has_one_end(both: Place) -> None:
    rita, olga = await both.key("rita", "reviewer"), await both.caller("olga", "operator")
    view = await waiting(both)

    def over(tx: Any) -> None:
        job = tx.job(view["id"], lock=True)
        now = both.service.ports.clock.now()
        tx.save(job, replace(job, useful_until=now + 150, due_at=now + 150), [])

    await both.service.store.write(over)
    both.service.ports.notify()
    await asyncio.sleep(0.12)
    path = f"/v1/reviews/{view['review']['id']}/decisions"
    async with served(both) as url:
        told = await at_once(url, [(rita, "POST", path, decision(view))] * 3)
    end = (await ends(both, view))["status"]
    wins = [status for status, _ in told].count(201)
    assert (end, wins) in (("completed", 1), ("expired", 0)), (end, told)
    released = (await seen(both, olga, view["id"], lambda one: True))["review"]["state"]
    assert released == {"completed": "approved", "expired": "expired"}[end]
    verified(both)


async def test_an_approval_replayed_elsewhere_opens_nothing(both: Place) -> None:
    one, other = await waiting(both), await waiting(both)
    rita, eve = await both.key("rita", "reviewer"), await both.key("eve", "admin", "other")
    path = f"/v1/reviews/{other['review']['id']}/decisions"
    async with served(both) as url:
        told = await at_once(url, [(rita, "POST", path, decision(one)), (eve, "POST", path, decision(other))])
        assert told == [(409, "stale-payload"), (404, "not-found")]
        again = f"/v1/reviews/{one['review']['id']}/decisions"
        assert await at_once(url, [(rita, "POST", again, decision(one))]) == [(201, "")]
        assert await at_once(url, [(rita, "POST", again, decision(one))]) == [(409, "already-decided")]
    assert decided(both) == ["approve by rita"]
    assert (await seen(both, await both.caller("olga", "operator"), other["id"], lambda view: True))[
        "status"
    ] == "needs_review"
    verified(both)

"""The store's own promises, on SQLite and on a real PostgreSQL: guards, leases, events, keys, search."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import AttemptState, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Search
from backlane.errors import StaleJob
from backlane.store.chain import GENESIS, link, sha256
from backlane.store.tables import events, jobs
from backlane.store.transaction import SqlStore
from tests.values import NOW, a_job, an_attempt


async def made(store: SqlStore, **changes: Any) -> Job:
    """A stored job in a stored workspace."""
    job = a_job(**changes)

    def body(tx: Any) -> None:
        if tx.workspace(job.workspace) is None:
            tx.insert_workspace({"id": job.workspace, "name": job.workspace, "created_at": NOW})
        tx.insert_job(job, "{}", [Event("job.submitted", NOW, "ana", {"before": None})])

    await store.write(body)
    return job


def started(job: Job) -> tuple[Job, Event]:
    return lifecycle.apply(job, Command.START, NOW + 1, phase=Phase.MODEL)


async def test_status_and_event_are_one_write(store: SqlStore) -> None:
    job = await made(store)
    after, event = started(job)

    def body(tx: Any) -> None:
        tx.save(job, after, [event])
        raise RuntimeError("the process stops here")

    with pytest.raises(RuntimeError):
        await store.write(body)
    rows = await store.read(lambda tx: tx.events(job.id, 0, 10))
    kept = await store.read(lambda tx: tx.job(job.id))
    assert [row["type"] for row in rows] == ["job.submitted"]
    assert kept == job


async def test_a_stale_version_is_refused(store: SqlStore) -> None:
    job = await made(store)
    after, event = started(job)
    saved = await store.write(lambda tx: tx.save(job, after, [event]))
    assert saved.version == job.version + 1
    with pytest.raises(StaleJob):
        await store.write(lambda tx: tx.save(job, after, [event]))
    assert len(await store.read(lambda tx: tx.events(job.id, 0, 10))) == 2


async def test_a_lost_lease_is_refused(store: SqlStore) -> None:
    job = await made(store)
    first = (await store.write(lambda tx: tx.claim([job.id], NOW, NOW + 90_000)))[0]
    held = await store.write(lambda tx: tx.take(first))
    assert held is not None
    again = (await store.write(lambda tx: tx.claim([job.id], NOW + 90_000, NOW + 180_000)))[0]
    after, event = started(held)
    with pytest.raises(StaleJob):
        await store.write(lambda tx: tx.save(held, after, [event], lease_no=held.lease_no))
    assert await store.write(lambda tx: tx.take(first)) is None
    assert await store.write(lambda tx: tx.take(again)) is not None


async def test_two_workers_never_claim_the_same_job(store: SqlStore) -> None:
    ids = [(await made(store, id=f"job_{n:03}")).id for n in range(40)]

    async def worker() -> list[str]:
        found: list[str] = []
        while batch := await store.write(
            lambda tx: tx.claim([due.job_id for due, _ in tx.due(NOW, 7)], NOW, NOW + 9)
        ):
            found += [due.job_id for due in batch]
        return found

    claimed = await asyncio.gather(*(worker() for _ in range(4)))
    assert sorted(one for some in claimed for one in some) == ids


async def test_lost_leases_are_counted_until_a_commit(store: SqlStore) -> None:
    job = await made(store)
    for lost in range(3):
        due = (await store.write(lambda tx: tx.claim([job.id], NOW + 10, NOW)))[0]
        held = await store.write(lambda tx, due=due: tx.take(due))
        assert held is not None
        assert held.leases_lost == lost
    suspects = await store.read(lambda tx: tx.due(NOW + 10, 5))
    assert [alone for _, alone in suspects] == [True]
    assert held is not None
    saved = await store.write(lambda tx: tx.save(held, held, [], lease_no=held.lease_no))
    assert saved.leases_lost == 0
    assert [alone for _, alone in await store.read(lambda tx: tx.due(NOW + 10, 5))] == [False]


async def test_waiting_jobs_are_not_due_and_the_next_is_known(store: SqlStore) -> None:
    await made(store, id="job_a", due_at=NOW + 500)
    await made(store, id="job_b", due_at=None)
    assert await store.read(lambda tx: tx.due(NOW, 5)) == []
    assert await store.read(lambda tx: tx.next_due()) == NOW + 500
    await store.write(lambda tx: tx.wake("job_b", NOW))
    assert [due.job_id for due, _ in await store.read(lambda tx: tx.due(NOW, 5))] == ["job_b"]


async def test_events_are_numbered_without_gaps_and_chained(store: SqlStore) -> None:
    job = await made(store)
    notes = [Event("job.noted", NOW + n, "ana", {"text": f"é {n}"}) for n in range(30)]
    await asyncio.gather(
        *(store.write(lambda tx, note=note: tx.keep_events(job.id, [note])) for note in notes)
    )
    rows = await store.read(lambda tx: tx.events(job.id, 0, 100))
    assert [row["seq"] for row in rows] == list(range(1, 32))
    chain = GENESIS
    for row in rows:
        assert sha256(row["data"]) == row["digest"]
        chain = link(chain, job.id, row["seq"], row["type"], row["at"], row["actor"], row["digest"])
        assert chain == row["chain"]
    assert [row["seq"] for row in await store.read(lambda tx: tx.events(job.id, 29, 100))] == [30, 31]


async def test_the_feed_numbers_every_event_of_a_workspace_once(store: SqlStore) -> None:
    for n in range(5):
        await made(store, id=f"job_{n}")
    await store.write(
        lambda tx: tx.workspace_event("ws_1", Event("alert.raised", NOW, "backlane", {"code": "x"}))
    )
    await store.database.write(lambda connection: store.records(connection).number_feed())
    numbers = await store.database.read(
        lambda connection: connection.execute(select(events.c.feed_seq)).scalars().all()
    )
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]


async def test_the_first_provider_id_stands(store: SqlStore) -> None:
    await made(store)
    await store.write(lambda tx: tx.insert_attempt(an_attempt(AttemptState.SENDING)))
    assert await store.write(lambda tx: tx.keep_response_id("att_1", "resp_a"))
    assert not await store.write(lambda tx: tx.keep_response_id("att_1", "resp_b"))
    kept = await store.read(lambda tx: tx.attempt("att_1"))
    assert kept is not None
    assert kept.provider_response_id == "resp_a"
    assert await store.write(lambda tx: tx.move_attempt("att_1", ["sending"], state="accepted"))
    assert not await store.write(lambda tx: tx.move_attempt("att_1", ["sending"], state="unknown"))


async def test_cost_is_booked_once_per_attempt(store: SqlStore) -> None:
    await made(store)
    await store.write(lambda tx: tx.insert_attempt(an_attempt(AttemptState.ACCEPTED)))
    line = {
        "attempt_id": "att_1", "workspace": "ws_1", "job_id": "job_1", "type": "digest", "amount": "0.30",
        "currency": "USD", "basis": "test", "simulated": True, "booked_at": NOW,
    }  # fmt: skip
    assert await store.write(lambda tx: tx.keep_cost(line))
    assert not await store.write(lambda tx: tx.keep_cost({**line, "amount": "9"}))
    assert str(await store.read(lambda tx: tx.average_cost("ws_1", "digest"))) == "0.30"
    assert await store.read(lambda tx: tx.average_cost("ws_2", "digest")) is None


async def test_an_idempotency_key_is_used_once(store: SqlStore) -> None:
    await made(store)
    row = {
        "workspace": "ws_1",
        "submitted_by": "ana",
        "key": "k",
        "body_hash": "h",
        "job_id": "job_1",
        "created_at": NOW,
    }
    taken = await asyncio.gather(*(store.write(lambda tx: tx.use_key(row)) for _ in range(8)))
    assert sorted(taken) == [False] * 7 + [True]
    assert await store.read(lambda tx: tx.used_key("ws_1", "ana", "k")) == ("h", "job_1")
    assert await store.read(lambda tx: tx.used_key("ws_1", "ben", "k")) is None


async def test_search_stays_in_its_workspace_and_takes_wildcards_as_text(store: SqlStore) -> None:
    await made(store, id="job_a", summary="100% of it", created_at=NOW)
    await made(store, id="job_b", summary="100 of it", created_at=NOW + 1)
    await made(store, id="job_c", workspace="ws_2", summary="100% of it")

    async def found(**changes: Any) -> list[str]:
        rows = await store.read(lambda tx: tx.search(Search(workspace="ws_1", **changes)))
        return [job.id for job in rows]

    assert await found() == ["job_b", "job_a"]
    assert await found(text="100%") == ["job_a"]
    assert await found(text="100_") == []
    assert await found(submitted_by="ben") == []
    assert await found(statuses=("queued",), type="digest", limit=1) == ["job_b"]
    assert await found(after=(NOW + 1, "job_b")) == ["job_a"]
    assert await found(oldest_first=True, after=(NOW, "job_a")) == ["job_b"]


async def test_one_members_fault_leaves_its_neighbours_alone(store: SqlStore) -> None:
    job = await made(store)

    def faulty(tx: Any) -> None:
        tx.keep_events(job.id, [Event("job.noted", NOW, "ana", {"n": 1})])
        raise ValueError("no")

    def good(tx: Any) -> str:
        tx.keep_events(job.id, [Event("job.noted", NOW, "ana", {"n": 2})])
        return "kept"

    results = await asyncio.gather(
        *(store.write(faulty if n % 2 else good) for n in range(10)), return_exceptions=True
    )
    assert [result for result in results if result == "kept"] == ["kept"] * 5
    assert sum(isinstance(result, ValueError) for result in results) == 5
    assert len(await store.read(lambda tx: tx.events(job.id, 0, 100))) == 6


async def test_ending_leases_fences_dead_workers(store: SqlStore) -> None:
    job = await made(store)
    due = (await store.write(lambda tx: tx.claim([job.id], NOW, NOW + 90_000)))[0]
    assert await store.write(lambda tx: tx.end_leases(NOW + 1)) == 1
    assert await store.write(lambda tx: tx.take(due)) is None
    assert [alone for _, alone in await store.read(lambda tx: tx.due(NOW + 1, 5))] == [True]


async def test_a_released_lease_can_be_renewed_no_more(store: SqlStore) -> None:
    job = await made(store)
    due = (await store.write(lambda tx: tx.claim([job.id], NOW, NOW + 9)))[0]
    assert await store.write(lambda tx: tx.renew(due, NOW + 99))
    assert await store.write(lambda tx: tx.give_back(due, NOW))
    assert not await store.write(lambda tx: tx.renew(due, NOW + 99))


async def test_a_row_cannot_be_open_and_ended(store: SqlStore) -> None:
    job = await made(store)
    broken = replace(job, finished_at=NOW)
    with pytest.raises(Exception, match="phase_until_the_end"):
        await store.database.write(
            lambda connection: connection.execute(update(jobs).values(finished_at=broken.finished_at))
        )

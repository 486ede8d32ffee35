"""Cases, marks and the audit log in both databases: guarded, at most one open, and chained whoever writes at once."""

import asyncio
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import StaleJob, StoreError
from backlane.store.chain import GENESIS, link
from backlane.store.database import Database
from backlane.store.transaction import SqlStore
from backlane.wiring import TimeOrderedIds
from tests.store.test_store import made, started
from tests.values import NOW


def a_case(job: Job, number: int, **changes: Any) -> dict[str, Any]:
    empty = dict.fromkeys(
        ("cause", "code", "failure", "owner", "promise", "promise_by", "closed_by", "closed_at")
    )
    return {
        **empty, "id": f"case_{number}", "workspace": job.workspace, "job_id": job.id, "state": "open",
        "reason": "why", "opened_by": "sue", "opened_at": NOW, **changes,
    }  # fmt: skip


async def test_a_mark_disturbs_nobody_who_is_at_work_with_the_job(store: SqlStore) -> None:
    job = await made(store)
    await store.write(lambda tx: tx.mark_job(job, held=True))
    after, event = started(job)
    saved = await store.write(lambda tx: tx.save(job, after, [event]))
    kept = await store.read(lambda tx: tx.job(job.id))
    assert kept is not None
    assert (kept.held, kept.status, kept.version) == (True, "running", job.version + 1)
    with pytest.raises(StaleJob):
        await store.write(lambda tx: tx.mark_job(job, held=False))
    await store.write(lambda tx: tx.mark_job(saved, held=False))
    with pytest.raises(AssertionError):
        await store.write(lambda tx: tx.mark_job(saved, status="completed"))


async def test_a_job_has_one_open_case_and_any_number_of_closed_ones(store: SqlStore) -> None:
    job = await made(store)
    await store.write(lambda tx: tx.insert_case(a_case(job, 1, state="closed")))
    await store.write(lambda tx: tx.insert_case(a_case(job, 2)))
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.insert_case(a_case(job, 3)))
    found = await store.read(lambda tx: tx.open_case(job.id))
    assert found is not None
    assert found["id"] == "case_2"
    rows = await store.read(lambda tx: tx.cases(job.workspace, {}, None, before=None, limit=10))
    assert [row["id"] for row in rows] == ["case_2", "case_1"]
    for filters, sight, before, ids in (
        ({"state": "closed"}, None, None, ["case_1"]),
        ({}, ("ana", None), "case_2", ["case_1"]),
        ({}, ("ben", None), None, []),
        ({"owner": "sue"}, None, None, []),
    ):
        ask = {"before": before, "limit": 10}
        page = await store.read(lambda tx, f=filters, s=sight, a=ask: tx.cases(job.workspace, f, s, **a))
        assert [row["id"] for row in page] == ids


async def test_writers_of_one_audit_log_come_one_after_the_other(store: SqlStore) -> None:
    job = await made(store)
    other = SqlStore(Database(store.database.url.render_as_string(hide_password=False)), TimeOrderedIds())

    def body(tx: Any, number: int) -> None:
        line = {"workspace": job.workspace, "at": NOW, "actor": "ana", "action": "job.note"}
        tx.audit({**line, "subject": job.id, "data": {"number": number}})

    try:
        await asyncio.gather(
            *(one.write(lambda tx, n=n: body(tx, n)) for n in range(20) for one in (store, other))
        )
    finally:
        other.database.close()
    rows = await store.read(lambda tx: tx.audit_lines(job.workspace, {}, after=0, limit=100))
    assert [row["seq"] for row in rows] == list(range(1, 41))
    chain = GENESIS
    for row in rows:
        chain = link(chain, row["seq"], row["at"], row["actor"], row["action"], row["subject"], row["data"])
        assert row["chain"] == chain
    after = await store.read(lambda tx: tx.audit_lines(job.workspace, {"actor": "ana"}, after=38, limit=100))
    assert [row["seq"] for row in after] == [39, 40]

"""The store's promises about files, on SQLite and on a real PostgreSQL: one copy in use, and when it is idle."""

from typing import Any

from backlane.core import lifecycle
from backlane.core.lifecycle import Command
from backlane.store.transaction import SqlStore
from tests.store.test_store import made
from tests.values import NOW

SHA = "a" * 64


def an_upload(upload_id: str = "art_1", **changes: Any) -> dict[str, Any]:
    values = {
        "id": upload_id, "workspace": "ws_1", "submitted_by": "ana", "name": "gate.pdf",
        "media_type": "application/pdf", "bytes": 5, "sha256": SHA, "inline": b"green", "created_at": NOW,
    }  # fmt: skip
    return {**values, **changes}


def a_copy(copy_id: str, **changes: Any) -> dict[str, Any]:
    values = {
        "id": copy_id, "workspace": "ws_1", "provider_account": "default", "sha256": SHA, "filename": f"{copy_id}.pdf",
        "state": "planned", "bytes": 5, "tries": 0, "planned_at": NOW, "due_at": NOW,
    }  # fmt: skip
    return {**values, **changes}


async def with_file(store: SqlStore) -> str:
    """A job that uses an upload."""
    job = await made(store)

    def body(tx: Any) -> None:
        tx.insert_upload(an_upload())
        tx.link_file(job.id, "art_1")
        tx.link_file(job.id, "art_1")

    await store.write(body)
    return job.id


async def test_a_jobs_files_have_the_shape_of_artifacts_and_are_linked_once(store: SqlStore) -> None:
    job_id = await with_file(store)
    found = await store.read(lambda tx: (tx.files_of([job_id, "job_2"]), tx.jobs_using("art_1")))
    assert found[1] == [job_id]
    assert found[0]["job_2"] == []
    (row,) = found[0][job_id]
    assert (row["id"], row["kind"], row["job_id"], row["attempt_id"]) == ("art_1", "input", job_id, None)
    assert "inline" not in row
    assert (await store.read(lambda tx: tx.upload("art_1")))["inline"] == b"green"
    assert await store.read(lambda tx: tx.upload("art_2")) is None


async def test_one_copy_of_a_content_is_in_use_and_ended_ones_stand_beside_it(store: SqlStore) -> None:
    await with_file(store)

    def plan(copy_id: str, **changes: Any) -> Any:
        return store.write(lambda tx: tx.plan_provider_file(a_copy(copy_id, **changes)))

    assert await plan("pfile_1")
    assert not await plan("pfile_2")
    assert await plan("pfile_3", provider_account="other")
    for state in ("sending", "unknown", "ready"):
        moved = {"state": state}
        assert await store.write(
            lambda tx, moved=moved: tx.move_provider_file(
                "pfile_1", ["planned", "sending", "unknown"], **moved
            )
        )
        assert not await plan("pfile_2")
    assert not await store.write(lambda tx: tx.move_provider_file("pfile_1", ["planned"], state="sending"))
    assert await store.write(lambda tx: tx.move_provider_file("pfile_1", ["ready"], state="retiring"))
    assert await plan("pfile_2")
    rows = await store.read(lambda tx: tx.provider_files("ws_1", "default", SHA))
    assert [(row["id"], row["state"]) for row in rows] == [("pfile_1", "retiring"), ("pfile_2", "planned")]


async def test_a_copy_is_idle_once_no_open_job_uses_its_content(store: SqlStore) -> None:
    job_id = await with_file(store)
    await store.write(lambda tx: tx.plan_provider_file(a_copy("pfile_1", state="ready")))
    await store.write(lambda tx: tx.plan_provider_file(a_copy("pfile_2", sha256="b" * 64, due_at=NOW + 5)))

    async def idle(at: int) -> list[str]:
        return [row["id"] for row in await store.read(lambda tx: tx.idle_provider_files(at, 10))]

    assert await idle(NOW) == []
    assert await idle(NOW + 5) == ["pfile_2"]
    assert not await store.write(lambda tx: tx.claim_idle_file("pfile_1", "ready"))

    def end(tx: Any) -> None:
        job = tx.job(job_id, lock=True)
        after, event = lifecycle.apply(job, Command.EXPIRE, NOW + 1)
        tx.save(job, after, [event])

    await store.write(end)
    assert await idle(NOW) == ["pfile_1"]
    assert not await store.write(lambda tx: tx.claim_idle_file("pfile_1", "sending"))
    assert await store.write(lambda tx: tx.claim_idle_file("pfile_1", "ready"))
    assert not await store.write(lambda tx: tx.claim_idle_file("pfile_1", "ready"))
    await store.write(lambda tx: tx.move_provider_file("pfile_1", ["deleting"], state="deleted", due_at=None))
    assert await idle(NOW) == []

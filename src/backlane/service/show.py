"""Reading what a job left: its events, inputs, artifacts and reviews, as a caller may see them."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from backlane.core.event import closed_data
from backlane.core.job import Gate, Job
from backlane.core.storage import Row, Transaction
from backlane.errors import NotFound, StoreError
from backlane.service.access import (
    Caller,
    closed_event,
    gated,
    lacks_reason,
    note_read,
    open_content,
    require_reason,
    visible,
)
from backlane.service.describe import moment
from backlane.service.ports import Ports
from backlane.service.quote import may_quote, tells_quotes
from backlane.service.upload import own_upload, upload_artifact
from backlane.service.view import artifact_view


def event_view(row: Row, closed: bool, *, simulated: bool) -> dict[str, Any]:
    """An event of a job that is simulated or not; what the release gate closes is absent from its data."""
    data: dict[str, Any] = json.loads(row["data"]) if row["data"] is not None else {}
    return {
        "id": row["id"],
        "object": "event",
        "seq": row["seq"],
        "feed_seq": row["feed_seq"],
        "job": row["job_id"],
        "type": row["type"],
        "at": moment(row["at"]),
        "actor": row["actor"],
        "simulated": simulated,
        "data": closed_data(row["type"], data) if closed else data,
    }


def is_late(row: Row) -> bool:
    """Whether an event's row says that a text came too late to be looked at."""
    if row["type"] != "artifact.added" or row["data"] is None:
        return False
    return json.loads(row["data"]).get("kind") == "late"


async def read_events(
    ports: Ports, caller: Caller, job_id: str, after: int, limit: int
) -> tuple[list[dict[str, Any]], bool]:
    """A page of a job's events after a number, and whether these are all there will be for now of an ended job."""

    def body(tx: Transaction) -> tuple[Job, list[Row]]:
        job = visible(tx, caller, tx.job(job_id))
        return job, tx.events(job_id, after, limit)

    job, rows = await ports.store.read(body)
    views = [
        event_view(row, closed_event(caller, job, row["seq"], late=is_late(row)), simulated=job.simulated)
        for row in rows
    ]
    return views, job.finished_at is not None and len(rows) < limit


async def read_news(ports: Ports, job_id: str, after: int, limit: int) -> tuple[Job, list[Row]]:
    """A job and a page of its events after a number, for many readers: whose sight allows it is still to be judged."""

    def body(tx: Transaction) -> tuple[Job, list[Row]]:
        job = tx.job(job_id)
        if job is None:
            raise NotFound()
        return job, tx.events(job_id, after, limit)

    return await ports.store.read(body)


async def newest_seqs(ports: Ports, job_ids: Sequence[str]) -> dict[str, int]:
    """The newest event's number of many jobs, in one question."""
    return await ports.store.read(lambda tx: tx.newest_seqs(job_ids))


async def note_events_read(
    ports: Ports, caller: Caller, job_id: str, page: Sequence[Mapping[str, Any]], *, follows: bool = False
) -> None:
    """One audit line, if what the release gate closes to others was in these events.

    Who `follows` an open job reads what comes later too: that line is written before it comes.
    """
    if not follows and not any(_tells(event) for event in page):
        return

    def body(tx: Transaction) -> None:
        job = visible(tx, caller, tx.job(job_id))
        if gated(job) or lacks_reason(caller, job.submitted_by):
            note_read(tx, ports, caller, "events.read", job_id, caller.reason)

    await ports.store.write(body)


def _tells(event: Mapping[str, Any]) -> bool:
    """Whether an event shows what the release gate closes to others."""
    return bool(event["data"] != closed_data(event["type"], event["data"]))


async def note_jobs_read(
    ports: Ports, caller: Caller, views: Sequence[Mapping[str, Any]], *, listed: bool = False
) -> None:
    """One audit line, if these jobs of others showed what their actions would do, or did, or quoted their runs."""
    others = [view for view in views if caller.grant is None and view["submitted_by"] != caller.name]
    quoting = await _quoting(ports, caller, [str(view["id"]) for view in others if may_quote(view)])
    told = [
        str(view["id"])
        for view in others
        if view["id"] in quoting or any(one["arguments"] is not None for one in view["actions"])
    ]
    if told:
        action, subject = ("jobs.read", caller.workspace) if listed else ("job.read", told[0])
        await ports.store.write(
            lambda tx: note_read(tx, ports, caller, action, subject, caller.reason, jobs=told)
        )


async def _quoting(ports: Ports, caller: Caller, job_ids: Sequence[str]) -> set[str]:
    """Those of these failed jobs whose words, as this caller is told them, are closed to others."""
    if not job_ids:
        return set()
    jobs = await ports.store.read(lambda tx: [tx.job(one) for one in job_ids])
    return {job.id for job in jobs if job is not None and tells_quotes(caller, job)}


async def read_inputs(ports: Ports, caller: Caller, job_id: str, reason: str | None) -> Any:
    """What was submitted. Role-gated and audited."""

    def body(tx: Transaction) -> str:
        job = visible(tx, caller, tx.job(job_id))
        require_reason(caller, job.submitted_by, reason)
        note_read(tx, ports, caller, "inputs.read", job_id, reason)
        return tx.inputs(job_id)

    return json.loads(await ports.store.write(body))


async def list_artifacts(ports: Ports, caller: Caller, job_id: str) -> list[dict[str, Any]]:
    """The metadata of a job's artifacts."""

    def body(tx: Transaction) -> tuple[Job, list[Row]]:
        job = visible(tx, caller, tx.job(job_id))
        return job, [*tx.files_of([job_id])[job_id], *tx.artifacts(job_id)]

    job, rows = await ports.store.read(body)
    return [artifact_view(caller, job, row) for row in rows]


async def read_artifact(ports: Ports, caller: Caller, artifact_id: str) -> dict[str, Any]:
    """One artifact's metadata. Raises NotFound."""

    def body(tx: Transaction) -> dict[str, Any]:
        row = tx.artifact(artifact_id)
        if row is None:
            return artifact_view(caller, None, upload_artifact(own_upload(tx, caller, artifact_id)))
        job = visible(tx, caller, tx.job(row["job_id"]))
        return artifact_view(caller, job, row)

    return await ports.store.read(body)


@dataclass(frozen=True, slots=True)
class Found:
    """Where an artifact's bytes lie, `size` of them, and how to serve them; nothing is read yet."""

    name: str
    media_type: str
    sha256: str
    size: int
    row: Row
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Content:
    """A small artifact, read whole."""

    name: str
    content: bytes


async def find_content(ports: Ports, caller: Caller, artifact_id: str, reason: str | None) -> Found:
    """An artifact's bytes, if the release gate and the caller's role allow it; the read is audited where it must."""

    def body(tx: Transaction) -> tuple[bool, Row, bool]:
        row = tx.artifact(artifact_id)
        if row is None:
            row = own_upload(tx, caller, artifact_id)
            require_reason(caller, row["submitted_by"], reason)
            return row["submitted_by"] != caller.name, row, False
        job = visible(tx, caller, tx.job(row["job_id"]))
        if row["kind"] != "input":
            open_content(caller, job, row, reason)
        return job.gate is not Gate.NONE or caller.role == "support", row, job.simulated

    audited, row, simulated = await ports.store.read(body)
    if audited:
        await ports.store.write(lambda tx: note_read(tx, ports, caller, "content.read", artifact_id, reason))
    headers = {"Backlane-Simulated": "true"} if simulated else {}
    return Found(row["name"], row["media_type"], row["sha256"], row["bytes"], row, headers)


async def open_bytes(ports: Ports, found: Found) -> BinaryIO:
    """The bytes, to be read piece by piece and closed. Raises StoreError unless they hash to their record."""
    if found.row["inline"] is not None:
        return io.BytesIO(await _bytes(ports, found.row))
    return await ports.artifacts.open(found.sha256)


async def read_content(ports: Ports, caller: Caller, artifact_id: str, reason: str | None) -> Content:
    """A small artifact's bytes, all at once; as `find_content` allows."""
    found = await find_content(ports, caller, artifact_id, reason)
    return Content(found.name, await _bytes(ports, found.row))


async def _bytes(ports: Ports, row: Row) -> bytes:
    """An artifact's bytes, whose hash must be the one that was recorded."""
    content = row["inline"] if row["inline"] is not None else await ports.artifacts.get(row["sha256"])
    if hashlib.sha256(content).hexdigest() != row["sha256"]:
        raise StoreError(f"artifact {row['id']} does not hash to its record; restore it from a backup")
    return bytes(content)


async def artifact_content(ports: Ports, artifact_id: str) -> bytes:
    """An artifact's bytes for the service itself."""
    row = await ports.store.read(lambda tx: tx.artifact(artifact_id))
    if row is None:
        raise NotFound()
    return await _bytes(ports, row)

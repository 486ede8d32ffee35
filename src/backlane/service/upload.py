"""Taking in files: streamed to the artifact store, looked into, then kept whole with their row, or not at all."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from backlane.core.artifacts import Draft
from backlane.core.media import label
from backlane.core.storage import Row, Transaction
from backlane.errors import NotFound, RoleRequired, TooLarge
from backlane.service.access import Caller, visible
from backlane.service.examine import examine
from backlane.service.ports import Ports

UPLOAD_ID = re.compile(r"art_[0-9a-z]{26}")


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file on its way in: what its sender calls it and claims of it, and its bytes as they come."""

    name: str | None
    content_type: str | None
    chunks: AsyncIterator[bytes]


async def upload(ports: Ports, caller: Caller, incoming: Incoming) -> Row:
    """Keep a file; its row. Nothing is kept of one that is refused or cut off.

    Raises TooLarge while reading, InvalidRequest, UnsupportedMedia, StoreFull, or what `chunks` raises.
    """
    draft = await ports.artifacts.draft()
    try:
        async for chunk in incoming.chunks:
            if draft.size + len(chunk) > ports.upload_at_most:
                raise too_large(ports.upload_at_most)
            await draft.write(chunk)
        media_type = await asyncio.to_thread(_examined, draft, incoming)
        row = await _row(ports, caller, draft, label(incoming.name, media_type), media_type)
    finally:
        await draft.drop()
    ports.point("upload_stored")
    await ports.store.write(lambda tx: tx.insert_upload(row))
    return row


def too_large(at_most: int) -> TooLarge:
    """The refusal of a file over the limit."""
    return TooLarge(f"A file may have at most {at_most} bytes.")


def _examined(draft: Draft, incoming: Incoming) -> str:
    with draft.reading() as file:
        return examine(file, incoming.content_type, incoming.name or "")


async def _row(ports: Ports, caller: Caller, draft: Draft, name: str, media_type: str) -> Row:
    """The upload's row, once its bytes are durable; small ones travel with it."""
    inline = None
    if draft.size <= ports.inline_bytes:
        with draft.reading() as file:
            inline = file.read()
    else:
        await draft.keep()
    return {
        "id": ports.ids.new("art"),
        "workspace": caller.workspace,
        "submitted_by": caller.name,
        "name": name,
        "media_type": media_type,
        "bytes": draft.size,
        "sha256": draft.sha256,
        "inline": inline,
        "created_at": ports.clock.now(),
    }


def upload_artifact(row: Row, job_id: str | None = None) -> dict[str, Any]:
    """An upload in the shape of an artifact's row."""
    return {**row, "kind": "input", "job_id": job_id}


def own_upload(tx: Transaction, caller: Caller, upload_id: str) -> Row:
    """An uploaded file within the caller's sight: the own, everybody's where the role sees everything, and those of
    jobs within sight. Raises NotFound, alike for foreign and unknown ids."""
    row = tx.upload(upload_id)
    if row is None or row["workspace"] != caller.workspace:
        raise NotFound()
    if caller.sees_everything or row["submitted_by"] == caller.name or _in_sight(tx, caller, upload_id):
        return row
    raise NotFound()


def _in_sight(tx: Transaction, caller: Caller, upload_id: str) -> bool:
    for job_id in tx.jobs_using(upload_id):
        try:
            visible(tx, caller, tx.job(job_id))
        except NotFound:
            continue
        return True
    return False


def require_reason(caller: Caller, row: Row, reason: str | None) -> None:
    """Raises RoleRequired where support would read another's file without saying why."""
    if caller.role == "support" and row["submitted_by"] != caller.name and not reason:
        raise RoleRequired("Support reads contents only with a reason: add ?reason=…, it is audited.")

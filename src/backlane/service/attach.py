"""Putting files into a request: small ones inline, others by the id of their one copy at the provider."""

import base64
from collections.abc import Iterator
from typing import Any, cast

from backlane.core.media import IMAGES
from backlane.core.storage import Row, Transaction
from backlane.service.bring import CannotAttach, NotYet, bring
from backlane.service.check import renewed
from backlane.service.ports import Ports
from backlane.service.situate import Held
from backlane.service.upload import UPLOAD_ID


async def attached(ports: Ports, held: Held, params: dict[str, Any]) -> NotYet | None:
    """Replace the uploaded files that a create's parameters name by what the provider reads. None when all are there.

    Raises CannotAttach, or StoreError where a file's bytes cannot be read.
    """
    parts = list(_parts(params.get("input")))
    if not parts:
        return None
    rows = await _rows(ports, held, {str(part["file_id"]) for part in parts})
    inline = _inline(ports, [rows[str(part["file_id"])] for part in parts])
    ready: dict[str, str] = {}
    async with renewed(ports, held):
        for row in rows.values():
            if row["id"] not in inline and row["sha256"] not in ready:
                copy = await bring(ports, held, row)
                if isinstance(copy, NotYet):
                    return copy
                ready[row["sha256"]] = copy
    for part in parts:
        row = rows[str(part["file_id"])]
        if row["id"] in inline:
            _put_inline(part, row, await _content(ports, row))
        else:
            _put(part, row, file_id=ready[row["sha256"]])
    return None


def names_files(params: dict[str, Any]) -> bool:
    """Whether a create's parameters name any uploaded file of ours."""
    return next(_parts(params.get("input")), None) is not None


def _parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every part that names an uploaded file of ours, at any depth."""
    if isinstance(value, list):
        for one in cast(list[Any], value):
            yield from _parts(one)
    elif isinstance(value, dict):
        part = cast(dict[str, Any], value)
        named = part.get("file_id")
        if part.get("type") in ("input_file", "input_image") and isinstance(named, str):
            if UPLOAD_ID.fullmatch(named):
                yield part
        else:
            yield from _parts(list(part.values()))


async def _rows(ports: Ports, held: Held, named: set[str]) -> dict[str, Row]:
    """The uploads a request names. Raises CannotAttach for one that the job was not linked to."""

    def body(tx: Transaction) -> dict[str, Row]:
        linked = {row["id"] for row in tx.files_of([held.job.id])[held.job.id]}
        found = {upload_id: tx.upload(upload_id) for upload_id in sorted(named & linked)}
        return {upload_id: row for upload_id, row in found.items() if row is not None}

    rows = await ports.store.read(body)
    for upload_id in sorted(named - set(rows)):
        raise CannotAttach("file_missing", f"{upload_id} is not among the job's inputs")
    return rows


def _inline(ports: Ports, rows: list[Row]) -> set[str]:
    """Which files travel inside the request: small ones, in order, until together they are too much."""
    chosen, left = set[str](), ports.files_inline_at_most
    for row in rows:
        if row["bytes"] <= min(left, ports.file_inline_at_most):
            chosen.add(row["id"])
            left -= row["bytes"]
    return chosen


async def _content(ports: Ports, row: Row) -> bytes:
    return bytes(row["inline"]) if row["inline"] is not None else await ports.artifacts.get(row["sha256"])


def _put_inline(part: dict[str, Any], row: Row, content: bytes) -> None:
    data = f"data:{row['media_type']};base64,{base64.b64encode(content).decode()}"
    if row["media_type"] in IMAGES:
        _put(part, row, image_url=data)
    else:
        _put(part, row, filename=row["name"], file_data=data)


def _put(part: dict[str, Any], row: Row, **given: str) -> None:
    """The part as the provider reads it; pictures are shown to the model, other files are read."""
    kept = {key: value for key, value in part.items() if key != "file_id"}
    part.clear()
    if row["media_type"] in IMAGES:
        part.update({"detail": "auto", **kept, **given, "type": "input_image"})
    else:
        part.update({**kept, **given, "type": "input_file"})

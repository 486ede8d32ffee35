"""A reviewer's edited version: the whole new value, typed and validated, under a hash of its own."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, cast

import rfc8785

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller
from backlane.service.outputs import Output, json_bytes, store_output
from backlane.service.ports import Ports


@dataclass(frozen=True, slots=True)
class Edited:
    """A new version whose bytes are stored and whose row is not written yet."""

    output: Output


async def edited_output(ports: Ports, job: Job, review: Row, edits: Any) -> Edited:
    """The edit as the job's type reads it. Raises InvalidRequest with a pointer."""
    inputs = await ports.store.read(lambda tx: tx.inputs(job.id))
    job_type = ports.types.get(job.type)
    if job_type is None:
        raise InvalidRequest([("/edits", "the job's type is not loaded here, so nothing can check an edit")])
    text = edits if isinstance(edits, str) else json.dumps(edits, ensure_ascii=False)
    try:
        value = job_type.read_output(job_type.read_inputs(json.loads(inputs)), text)
    except ValueError as error:
        raise InvalidRequest([("/edits", str(error)[:500])]) from None
    if isinstance(value, str):
        if not isinstance(edits, str) or not value.strip():
            raise InvalidRequest([("/edits", "must be the whole new text")])
        return Edited(await store_output(ports, "result", "result.md", "text/markdown", value.encode()))
    return Edited(await store_output(ports, "result", "result.json", "application/json", json_bytes(value)))


def first_shown(review: Row) -> str:
    """What a review showed before anybody edited it: the change is what reviewers made of that."""
    return review["former_payload"] or review["payload"]


def hashes_shown(tx: Transaction, review: Row) -> set[str]:
    """The hashes of all versions of a review: whoever edits approves, so each later one has its decision."""
    first = f"sha256:{hashlib.sha256(first_shown(review).encode()).hexdigest()}"
    return {first, review["payload_hash"], *(row["payload_hash"] for row in tx.decisions(review["id"]))}


def kept_edit(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, edit: Edited
) -> tuple[Row, list[Event]]:
    """Write the new version down: a new artifact, a new payload, a new hash; earlier approvals are void."""
    now = ports.clock.now()
    row = {
        "id": ports.ids.new("art"),
        "workspace": job.workspace,
        "job_id": job.id,
        "attempt_id": None,
        "kind": edit.output.kind,
        "name": edit.output.name,
        "media_type": edit.output.media_type,
        "bytes": edit.output.size,
        "sha256": edit.output.sha256,
        "inline": edit.output.inline,
        "edited_by": caller.name,
        "created_at": now,
    }
    tx.insert_artifact(row)
    former = cast(dict[str, Any], json.loads(review["payload"]))
    artifacts = [{"id": row["id"], "sha256": row["sha256"]}]
    payload = rfc8785.dumps({**former, "artifacts": artifacts, "edits": review["payload_hash"]})
    changes = {
        "payload": payload.decode(),
        "payload_hash": f"sha256:{hashlib.sha256(payload).hexdigest()}",
        "version": review["version"] + 1,
        "former_payload": first_shown(review),
    }
    tx.change_review(review["id"], **changes)
    data = {"artifact": row["id"], "kind": row["kind"], "name": row["name"], "bytes": row["bytes"]}
    data |= {"sha256": row["sha256"]}
    return {**review, **changes}, [Event("artifact.added", now, caller.name, data)]

"""Turning an answer into artifacts: bytes are stored under their content's hash before their row is written."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.outcome import Answer
from backlane.core.storage import Transaction
from backlane.service.ports import Ports


def sha256_hex(content: bytes) -> str:
    """The hex sha256 of bytes: their content address."""
    return hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Output:
    """An artifact whose bytes are stored and whose row is not written yet."""

    kind: str
    name: str
    media_type: str
    size: int
    sha256: str
    inline: bytes | None


async def store_output(ports: Ports, kind: str, name: str, media_type: str, content: bytes) -> Output:
    """Store the bytes: small ones travel with the row, larger ones go to the artifact store first."""
    if len(content) <= ports.inline_bytes:
        return Output(kind, name, media_type, len(content), sha256_hex(content), content)
    digest = await ports.artifacts.put(content)
    ports.point("artifact")
    return Output(kind, name, media_type, len(content), digest, None)


def add_outputs(
    tx: Transaction, ports: Ports, job: Job, outputs: Sequence[Output], *, attempt_id: str | None, now: int
) -> list[Event]:
    """Write the rows; one `artifact.added` each. `now` is the moment of the whole turn."""
    told: list[Event] = []
    for output in outputs:
        row: Mapping[str, Any] = {
            "id": ports.ids.new("art"),
            "workspace": job.workspace,
            "job_id": job.id,
            "attempt_id": attempt_id,
            "kind": output.kind,
            "name": output.name,
            "media_type": output.media_type,
            "bytes": output.size,
            "sha256": output.sha256,
            "inline": output.inline,
            "created_at": now,
        }
        tx.insert_artifact(row)
        data = {"artifact": row["id"], "kind": output.kind, "name": output.name}
        data |= {"bytes": output.size, "sha256": output.sha256}
        told.append(Event("artifact.added", now, "backlane", data))
    return told


def citation_rows(answer: Answer) -> list[dict[str, Any]]:
    """Evidence rows: which span of the answer rests on which source."""
    return [
        {
            "claim": answer.text[one.start : one.end],
            "start": one.start,
            "end": one.end,
            "kind": one.kind,
            "source": one.source,
            "title": one.title,
            "quote": None,
            "fetched_at": None,
            "digest": sha256_hex(answer.text[one.start : one.end].encode()),
            "verified": False,
        }
        for one in answer.citations
    ]


def _plain(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if dump is not None else value


def json_bytes(value: Any) -> bytes:
    """A value (pydantic models included) as readable JSON."""
    return json.dumps(_plain(value), ensure_ascii=False, indent=2, default=str).encode()


async def result_outputs(ports: Ports, answer: Answer, value: Any) -> list[Output]:
    """The result and, where the answer cites, its citations."""
    if isinstance(value, str):
        result = await store_output(ports, "result", "result.md", "text/markdown", value.encode())
    else:
        result = await store_output(ports, "result", "result.json", "application/json", json_bytes(value))
    return [result, *await citation_outputs(ports, answer)]


async def citation_outputs(ports: Ports, answer: Answer) -> list[Output]:
    """The citations of an answer as one JSON artifact; none without citations."""
    if not answer.citations:
        return []
    rows = json_bytes(citation_rows(answer))
    return [await store_output(ports, "citations", "citations.json", "application/json", rows)]


async def unhappy_outputs(ports: Ports, answer: Answer, kind: str = "partial") -> list[Output]:
    """What was written before an unhappy end, kept as `partial` (or `late`)."""
    text = answer.text or answer.refusal or ""
    if not text:
        return []
    truncated = answer.code == "result_too_large"
    name = f"{kind}-truncated.md" if truncated else f"{kind}.md"
    kept = await store_output(ports, kind, name, "text/markdown", text.encode(errors="replace"))
    if answer.raw is None:
        return [kept]
    # What is read as the answer stays small: the whole of it is beside it, under a kind that nobody sends on.
    beside = "json" if kind == "partial" else kind
    raw = answer.raw
    return [
        kept,
        Output(beside, f"{kind}-truncated.json", "application/json", raw.size, raw.sha256, None),
    ]

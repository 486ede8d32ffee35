"""What the provider's own tools leave behind: their calls as evidence, and the files of their containers, copied."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Attempt
from backlane.core.lifecycle import TERMINAL
from backlane.core.outcome import Answer
from backlane.core.storage import Row, Transaction
from backlane.core.stream import EVENT_FIELD, NEW_STATUS
from backlane.errors import StoreError
from backlane.service.copy_files import Copying, Pair
from backlane.service.lease import renewed
from backlane.service.outputs import Output, json_bytes, store_output, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.situate import Held

# Item types of the provider by the evidence they belong to; the names of the artifacts never change.
_EVIDENCE: dict[str, tuple[str, ...]] = {
    "web-search": ("web_search_call",),
    "file-search": ("file_search_call",),
    "code-interpreter": ("code_interpreter_call",),
    "mcp": ("mcp_list_tools", "mcp_call", "mcp_approval_request"),
    "shell": ("shell_call", "shell_call_output"),
    "image-generation": ("image_generation_call",),
    "left-out": ("left_out",),
}
EVIDENCE_TYPES = frozenset(kind for kinds in _EVIDENCE.values() for kind in kinds)
_FILES = "container-files.json"


@dataclass(slots=True)
class Evidence:
    """Artifacts that are stored and whose rows are not written yet, and events that tell of what was lost."""

    outputs: list[Output] = field(default_factory=list[Output])
    told: list[Event] = field(default_factory=list[Event])


async def keep_evidence(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Evidence:
    """Everything a run left behind beside its text. Files are copied now: the provider forgets them soon."""
    found = Evidence()
    kept = {
        name: [one for one in answer.hosted if one.get("type") in kinds] for name, kinds in _EVIDENCE.items()
    }
    said = await ports.store.read(lambda tx: tx.unknown_events(attempt.id))
    kept["unknown"] = [one for one in answer.hosted if one.get("type") not in EVIDENCE_TYPES]
    kept["unknown"] += [_as_item(json.loads(body)) for body in said]
    for name, items in kept.items():
        if items:
            found.outputs.append(await _record(ports, f"{name}.json", {"untrusted": True, "items": items}))
    if answer.files or answer.containers:
        async with renewed(ports, held):
            await _copy(ports, held, attempt, answer, found)
    return found


def _as_item(one: Any) -> Any:
    """An unknown event, or what else was new while the run went on."""
    return one if one.get("type") in (NEW_STATUS, EVENT_FIELD) else {"event": one}


async def keep_unwanted(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Evidence:
    """What the run of a job left that has ended, or that ends now, canceled or expired."""
    kind = "late" if answer.status == "completed" else "partial"
    if kind == "late" or held.job.status in TERMINAL:
        return await keep_late(ports, held, attempt, answer, kind)
    found = await keep_evidence(ports, held, attempt, answer)
    return Evidence([*await unhappy_outputs(ports, answer, kind), *found.outputs], found.told)


async def keep_late(
    ports: Ports, held: Held, attempt: Attempt, answer: Answer, kind: str = "late"
) -> Evidence:
    """What a run left that came too late to be looked at, its text as `kind`.

    Its evidence has no kind of its own: no review is about it, so it stays closed as a late text does.
    """
    found = await keep_evidence(ports, held, attempt, answer)
    beside = [
        replace(one, kind="late", name=f"late-{one.name}" if one.kind == "tool_output" else one.name)
        for one in found.outputs
    ]
    return Evidence([*await unhappy_outputs(ports, answer, kind), *beside], found.told)


async def _record(ports: Ports, name: str, body: Any) -> Output:
    return await store_output(ports, "tool_output", name, "application/json", json_bytes(body))


async def _copy(ports: Ports, held: Held, attempt: Attempt, answer: Answer, found: Evidence) -> None:
    copying = Copying(ports, attempt, await _seen(ports, held.job.id) if answer.containers else set())
    await copying.all_of(answer)
    found.outputs += copying.outputs
    found.told += copying.told
    if copying.rows:
        found.outputs.append(await _record(ports, _FILES, {"files": copying.rows}))


async def _seen(ports: Ports, job_id: str) -> set[Pair]:
    """The files that earlier runs of a job have rows for."""

    def rows(tx: Transaction) -> Sequence[Row | None]:
        known = [one for one in tx.artifacts(job_id) if (one["kind"], one["name"]) == ("tool_output", _FILES)]
        return [tx.artifact(one["id"]) for one in known]

    seen = set[Pair]()
    for row in await ports.store.read(rows):
        # One that was lost tells nothing; when a file was made still does.
        with suppress(StoreError):
            if row is not None:
                body = (
                    row["inline"] if row["inline"] is not None else await ports.artifacts.get(row["sha256"])
                )
                seen |= {(one["container_id"], one["file_id"]) for one in json.loads(body)["files"]}
    return seen

"""What the provider's own tools leave behind: their calls as evidence, and the files that the answer cites, copied.

A file that cannot be had any more is noted and costs the job nothing else.
"""

import json
import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Attempt
from backlane.core.outcome import Answer, CitedFile, FileBytes, FileLost, NotSent, Unknown
from backlane.core.stream import EVENT_FIELD, NEW_STATUS
from backlane.service.lease import renewed
from backlane.service.outputs import Output, json_bytes, store_output
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
# A file whose copy fails is asked for so often, and after such pauses (milliseconds); longer ones where the
# provider asks for them, but not for ever: its container will not last.
_TRIES, _PAUSE, _PAUSE_AT_MOST = 3, 500, 30_000
# All pauses of one answer together, milliseconds: a worker waits, and others' work with it.
_PATIENCE = 60_000


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
            found.outputs.append(await _record(ports, name, {"untrusted": True, "items": items}))
    if answer.files:
        async with renewed(ports, held):
            await _copy(ports, attempt, answer.files, found)
    return found


def _as_item(one: Any) -> Any:
    """An unknown event, or what else was new while the run went on."""
    return one if one.get("type") in (NEW_STATUS, EVENT_FIELD) else {"event": one}


async def _record(ports: Ports, name: str, body: Any) -> Output:
    return await store_output(ports, "tool_output", f"{name}.json", "application/json", json_bytes(body))


async def _copy(ports: Ports, attempt: Attempt, files: Sequence[CitedFile], found: Evidence) -> None:
    rows: list[dict[str, Any]] = []
    patience = _Patience(ports, _PATIENCE)
    for file in files:
        name = _label(file.name)
        row: dict[str, Any] = {"name": name, "container_id": file.container_id, "file_id": file.file_id}
        got = await _bytes(ports, attempt, file, patience)
        if isinstance(got, bytes):
            media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
            output = await store_output(ports, "file", name, media_type, got)
            found.outputs.append(output)
            rows.append({**row, "bytes": output.size, "sha256": output.sha256, "code": None})
            continue
        rows.append({**row, "bytes": None, "sha256": None, "code": got})
        data = {"attempt": attempt.id, "kind": "container_file", "code": got}
        found.told.append(Event("tool.answered", ports.clock.now(), "provider", data))
        ports.log(f"attempt {attempt.id}: a container file could not be copied: {got}")
    found.outputs.append(await _record(ports, "container-files", {"files": rows}))


@dataclass(slots=True)
class _Patience:
    """How long is waited still before other tries, milliseconds."""

    ports: Ports
    left: int

    async def wait(self, pause: int) -> bool:
        """Wait; whether there was the time for it."""
        pause, self.left = min(pause, self.left), max(self.left - pause, 0)
        await self.ports.clock.sleep(pause)
        return pause > 0


async def _bytes(ports: Ports, attempt: Attempt, file: CitedFile, patience: _Patience) -> bytes | str:
    """A file's bytes, or the code that says why they cannot be had."""
    for number in range(_TRIES):
        got = await ports.provider.container_file(attempt.provider_account, file)
        match got:
            case FileBytes(content):
                return content
            case FileLost(code):
                return code
            case NotSent():
                pause = 0
            case Unknown():
                pause = min(got.retry_after or 0, _PAUSE_AT_MOST)
        if number + 1 == _TRIES or not await patience.wait(max(pause, _PAUSE * 2**number)):
            break
    return "not_copied"


def _label(name: str) -> str:
    """A file's name without folders and without what no terminal should be shown."""
    last = name.replace("\\", "/").rpartition("/")[2]
    shown = "".join(char if char.isprintable() else "_" for char in last).strip(". ")
    return shown[:200] or "file"

"""What only the world can judge at its end: it knows what each run wrote, and what the provider still has."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, exists, literal, select

from backlane.simulator.runs import Run
from backlane.store.people import audit
from backlane.store.tables import attempts, events, jobs
from backlane.store.tables_actions import actions, dispatches
from backlane.store.tables_wire import inbox, job_files, provider_files, tool_calls, uploads

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld

_GIVEN_UP = "given up"


def judged(world: "SimulatedWorld") -> Iterator[tuple[str, str]]:
    """What was seen that must never be seen."""
    for rule, find in _RULES:
        for what in find(world):
            yield rule, what


def written(run: Run) -> str:
    """The whole text of a run, whatever became of it."""
    parts = [part for item in run.output if item.get("type") == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts if part.get("type") == "output_text")


def _untrue_text(world: "SimulatedWorld") -> Iterator[str]:
    """Whatever a follower was given since the last reset is how one of the job's runs begins, at any time."""
    truths: dict[str, list[str]] = {}
    for row in _rows(world, select(attempts.c.job_id, attempts.c.provider_response_id)):
        run = world.provider.world.runs.get(row[1] or "")
        if run is not None:
            truths.setdefault(row[0], []).append(written(run))
    streamed: dict[str, str] = {}
    told = select(events).where(events.c.type.in_(("output.delta", "output.reset"))).order_by(events.c.seq)
    for event in _rows(world, told):
        data = json.loads(event.data)
        if event.type == "output.reset":
            streamed[event.job_id] = ""
            if data["reason"] == "replaced":
                yield f"{event.job_id} #{event.seq}: what was streamed had to be replaced"
            continue
        text = streamed[event.job_id] = streamed.get(event.job_id, "") + data["text"]
        if not any(truth.startswith(text) for truth in truths.get(event.job_id, [])):
            yield f"{event.job_id} #{event.seq}: no run of it begins with what was streamed: {text[-60:]!r}"


def _led_nowhere(world: "SimulatedWorld") -> Iterator[str]:
    """An event about a run of ours is never called somebody else's."""
    ours = {row[0] for row in _rows(world, select(attempts.c.id))}
    runs = world.provider.world.runs
    for row in _rows(world, select(inbox).where(inbox.c.state == "foreign")):
        run = runs.get(row.response_id or "")
        metadata = {} if run is None else run.body.get("metadata") or {}
        if metadata.get("backlane_attempt") in ours and not (row.note or "").startswith(_GIVEN_UP):
            yield f"webhook {row.webhook_id} is about {row.response_id}, which is ours: {row.note!r}"


def _left_there(world: "SimulatedWorld") -> Iterator[str]:
    """At rest nothing of ours is left at the provider."""
    if not world.settled:
        return
    needed = {
        row[0]
        for row in _rows(world, select(provider_files.c.filename).where(provider_files.c.state == "ready"))
    }
    for file in world.provider.world.files:
        if not file.deleted and file.purpose == "user_data" and file.filename not in needed:
            yield f"{file.filename} ({file.id}) is still at the provider"


def _untrue_ledger(world: "SimulatedWorld") -> Iterator[str]:
    """What the ledger says of an action is what the outside saw, as far as anybody could know it."""
    for row in _rows(world, select(actions)):
        there = happened(world, row.id, row.key)
        if row.state == "succeeded" and not there:
            yield f"{row.id} succeeded ({row.settled_by}) and nothing happened outside"
        if row.state in ("proposed", "approved", "rejected", "undone") and there:
            yield f"{row.id} is {row.state} and took effect outside"
        # A clock that jumps makes a quiet period end too soon.
        sure = row.settled_by == "receipt" or world.weather.jump_every is None
        if row.state == "failed" and there and sure:
            yield f"{row.id} failed ({row.settled_by}: {row.code}) and took effect outside"


def happened(world: "SimulatedWorld", action_id: str, key: str) -> bool:
    """Whether an action took effect: outside, or at the provider where it was a remote call."""
    return world.outside.took_effect(key) or action_id in _made_remotely(world)


def _made_remotely(world: "SimulatedWorld") -> set[str]:
    """The actions whose remote call the provider made; none is ever made twice."""
    asked = select(tool_calls.c.call_id, actions.c.id).join(actions, actions.c.call_row == tool_calls.c.id)
    ours = {row[0]: row[1] for row in _rows(world, asked)}
    items = [item for run in world.provider.world.runs.values() for item in run.output]
    made = Counter(ours.get(item.get("approval_request_id")) for item in items if item["type"] == "mcp_call")
    made.pop(None, None)
    for action, times in made.items():
        if times > 1:
            world.violation("I10", f"the remote call of {action} was made {times} times")
    return {str(action) for action in made}


def _unstopped(world: "SimulatedWorld") -> Iterator[str]:
    """Nothing is dispatched while the kill switch is on; a clock that jumps cannot tell."""
    if world.weather.jump_every is not None:
        return
    thrown = select(audit).where(audit.c.action.in_(("actions.stop", "actions.allow"))).order_by(audit.c.seq)
    stops: dict[str, list[tuple[int, int]]] = {}
    since: dict[str, int] = {}
    for line in _rows(world, thrown):
        if line.action == "actions.stop":
            since[line.workspace] = line.at
        elif line.workspace in since:
            stops.setdefault(line.workspace, []).append((since.pop(line.workspace), line.at))
    for workspace, at in since.items():
        stops.setdefault(workspace, []).append((at, world.machine_now()))
    for row in _rows(world, select(dispatches)):
        if any(begin < row.at < end for begin, end in stops.get(row.workspace, [])):
            yield f"{row.action_id} was dispatched while the kill switch was on"


_RULES: tuple[tuple[str, Callable[["SimulatedWorld"], Iterator[str]]], ...] = (
    ("S1", _untrue_text),
    ("I19", _led_nowhere),
    ("I32", _left_there),
    ("I15", _untrue_ledger),
    ("I12", _unstopped),
)


def unneeded_files(connection: Connection) -> list[str]:
    """Copies at the provider that no open job needs, and that are not seen to yet."""
    needed = (
        select(literal(1))
        .select_from(job_files)
        .join(uploads, uploads.c.id == job_files.c.upload_id)
        .join(jobs, jobs.c.id == job_files.c.job_id)
        .where(
            uploads.c.sha256 == provider_files.c.sha256,
            uploads.c.workspace == provider_files.c.workspace,
            jobs.c.finished_at.is_(None),
        )
    )
    idle = select(provider_files.c.filename, provider_files.c.state).where(
        provider_files.c.state.not_in(("refused", "deleted")), ~exists(needed.correlate(provider_files))
    )
    return [f"file {row[0]} is {row[1]}" for row in connection.execute(idle).all()]


def _rows(world: "SimulatedWorld", statement: Any) -> list[Any]:
    with world.look.connection() as connection:
        return list(connection.execute(statement).all())

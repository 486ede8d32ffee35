"""Answering the calls that a run waits for: each tool runs under a time-out, and what it says is kept, then told.

Tools read; they never act on the world. A call that was answered is not run again, whatever happens.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from backlane.core import lifecycle
from backlane.core.action import Origin, TypeAction, current
from backlane.core.event import Event
from backlane.core.job import Attempt, Job, Phase, Status
from backlane.core.lifecycle import TERMINAL, Command
from backlane.core.ports import JobType, TypeTool
from backlane.core.storage import Row, Transaction
from backlane.errors import ToolFailed
from backlane.service.conclude import conclude
from backlane.service.fail import fail
from backlane.service.heed import unwanted
from backlane.service.keep import answer_of
from backlane.service.lease import renewed
from backlane.service.outputs import Output, add_outputs, json_bytes, store_output, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.propose import Proposal, keep_call_proposal, read_proposal
from backlane.service.settle_remote import may_act, propose_remote
from backlane.service.situate import Held
from backlane.service.take_turns import turns_taken

# So many mistakes of one kind are told to the model in one job; one more ends it.
TOLD_AT_MOST = 3
# So many tools of one job run at once.
_AT_ONCE = 4
_REFUSED = "Jobs of this type may not act on the outside world; go on without it."
# What a call's code leads to if it happens too often.
_ENDS_AS = {
    "unknown_tool": "tool_misused",
    "invalid_arguments": "tool_misused",
    "tool_failed": "tool_failed",
    "tool_timeout": "tool_failed",
    "approval_not_available": "approvals_refused",
}


@dataclass(frozen=True, slots=True)
class View:
    """What a tool may be given beside its arguments."""

    id: str
    type: str
    submitted_by: str
    user: str | None
    account: str | None
    inputs: Any
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one call is answered, and why if it is an error."""

    code: str | None
    body: dict[str, Any]


def budget_code(held: Held, turns: int, calls: int, more: int) -> str | None:
    """Why the job, after so many turns and calls, may not take the turn that a run asks for; None if it may."""
    assert held.type is not None
    if turns >= held.type.max_turns:
        return "turns_used_up"
    return "tool_budget" if calls + more > held.type.max_tool_calls else None


async def run_tools(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Answer every call of the run that is still open, then let the next turn be bought."""
    rows = await ports.store.read(lambda tx: tx.tool_calls(attempt.id))
    waiting = [row for row in rows if row["state"] == "called"]
    still = await _begin(ports, held)
    if still is None:
        return None
    ports.point("tool_called")
    if waiting:
        async with renewed(ports, still):
            still = await _answer_all(ports, still, attempt, waiting)
    return None if still is None else await _go_on(ports, still, attempt)


async def _begin(ports: Ports, held: Held) -> Held | None:
    """The job as running; it waited if its type was not loaded."""
    if held.job.status is Status.RUNNING:
        return held
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        after, event = lifecycle.apply(job, Command.START, now, phase=Phase.TOOL, actor="backlane")
        return after, [event]

    return await conclude(ports, held, turn, hold=True)


async def _answer_all(ports: Ports, held: Held, attempt: Attempt, waiting: Sequence[Row]) -> Held | None:
    """Run them side by side; their answers are kept in their order. All stop once the job is not wanted any more."""
    assert held.type is not None
    raw = await ports.store.read(lambda tx: tx.inputs(held.job.id))
    job = held.job
    inputs = held.type.read_inputs(json.loads(raw))
    view = View(job.id, job.type, job.submitted_by, job.user, job.account, inputs, dict(job.metadata))
    room = asyncio.Semaphore(_AT_ONCE)
    tasks = [asyncio.create_task(_answer(ports, held.type, row, view, room)) for row in waiting]
    over = asyncio.create_task(unwanted(ports, job.id))
    still: Held | None = held
    try:
        for row, task in zip(waiting, tasks, strict=True):
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                return None
            told = task.result()
            assert still is not None
            keep = _keep_proposal if isinstance(told, Proposal) else _keep
            still = await keep(ports, still, attempt, row, cast(Any, told))
            ports.point("tool_answered")
            if still is None:
                return None
        return still
    finally:
        for task in (*tasks, over):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(over, return_exceptions=True)


async def _answer(
    ports: Ports, kind: JobType, row: Row, view: View, room: asyncio.Semaphore
) -> _Told | Proposal:
    name = row["name"]
    if row["kind"] == "mcp_approval":
        return _remote(kind, row, view)
    action = kind.action(name)
    if action is not None:
        return await _proposed(ports, action, row)
    tool = kind.tool(name)
    if tool is None:
        return _Told("unknown_tool", {"tool": name, "error": "There is no tool by this name."})
    try:
        arguments = tool.read(row["arguments"])
    except ValueError as error:
        return _Told("invalid_arguments", {"tool": name, "error": f"The arguments do not fit: {error}"})
    async with room:
        return await _run(ports, tool, arguments, view)


def _remote(kind: JobType, row: Row, view: View) -> _Told | Proposal:
    """What a remote tool's question becomes: a proposal where the type may act, else a refusal."""
    if not may_act(kind):
        return _Told("approval_not_available", {"tool": row["name"], "error": _REFUSED})
    try:
        return propose_remote(kind, view.inputs, row)
    except ValueError as error:
        return _Told("approval_not_available", {"tool": row["name"], "error": f"Not proposed: {error}."})


async def _proposed(ports: Ports, action: TypeAction, row: Row) -> _Told | Proposal:
    """What the model's call of an action becomes: a proposal, or an error that it is told."""
    try:
        return await read_proposal(ports, action, row["arguments"], Origin.MODEL)
    except ValueError as error:
        told = f"The arguments do not fit: {error}. Nothing was proposed."
        return _Told("invalid_arguments", {"action": action.name, "error": told})


async def _run(ports: Ports, tool: TypeTool, arguments: Any, view: View) -> _Told:
    """What one tool says. Its own words are told only where it means them to be: in a ToolFailed."""
    limit = asyncio.timeout(tool.timeout / 1000)
    try:
        async with limit:
            return _said(tool, await tool.run(arguments, view))
    except MemoryError:
        raise  # the worker's trouble, not the tool's
    except ToolFailed as failure:
        error = {"tool": tool.name, "untrusted": True, "error": str(failure)[:2000]}
        return _Told("tool_failed", error)
    except asyncio.CancelledError:
        here = asyncio.current_task()
        if here is not None and here.cancelling() > 0:
            raise
        name = "CancelledError"
    except (Exception, SystemExit) as error:
        if isinstance(error, TimeoutError) and limit.expired():
            told = f"The tool did not answer within {tool.timeout / 1000:g} s."
            return _Told("tool_timeout", {"tool": tool.name, "error": told})
        name = type(error).__name__
    ports.log(f"job {view.id}: tool {tool.name} broke: {name}")
    return _Told("tool_failed", {"tool": tool.name, "error": f"The tool broke ({name})."})


def _said(tool: TypeTool, value: Any) -> _Told:
    """The tool's answer as the model is told it: labelled, and cut where it is too long."""
    body: dict[str, Any] = {"tool": tool.name, "untrusted": True}
    written = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    if len(written) <= tool.output_at_most:
        return _Told(None, {**body, "output": json.loads(written)})
    cut = written[: tool.output_at_most].decode(errors="ignore")
    return _Told(None, {**body, "truncated": True, "bytes": len(written), "output": cut})


def _artifact_name(kind: JobType, turn: int, row: Row) -> str:
    """A name without anything a model wrote."""
    known = row["kind"] == "function" and kind.tool(row["name"]) is not None
    what = row["name"] if known else {"mcp_approval": "approval"}.get(row["kind"], "unknown")
    return f"tool-{turn}-{row['number']}-{what}.json"


async def _keep(ports: Ports, held: Held, attempt: Attempt, row: Row, told: _Told) -> Held | None:
    """Keep one answer, once, whoever holds the job by now; a job that has ended takes no more."""
    assert held.type is not None
    now = ports.clock.now()
    text = json.dumps(told.body, ensure_ascii=False)
    evidence = {"tool": row["name"], "call": row["call_id"], "arguments": row["arguments"]}
    evidence |= {"code": told.code, "answer": told.body}
    name = _artifact_name(held.type, turns_taken(held.attempts), row)
    output: Output = await store_output(ports, "tool_output", name, "application/json", json_bytes(evidence))

    def fact(tx: Transaction) -> Sequence[Event]:
        job = tx.job(held.job.id, lock=True)
        if job is None or job.status in TERMINAL:
            return ()
        said = told.body["error"] if row["kind"] == "mcp_approval" else text
        if not tx.answer_tool_call(row["id"], code=told.code, output=said, now=now):
            return ()
        added = add_outputs(tx, ports, job, [output], attempt_id=attempt.id, now=now)
        data = {"attempt": attempt.id, "number": row["number"], "kind": row["kind"], "tool": row["name"]}
        data |= {"code": told.code, "bytes": len(text.encode())}
        return [Event("tool.answered", now, "backlane", data), *added]

    return await conclude(ports, held, lambda _, job: (job, ()), fact=fact, hold=True)


async def _keep_proposal(
    ports: Ports, held: Held, attempt: Attempt, row: Row, proposal: Proposal
) -> Held | None:
    """Write the proposal down, once, in the order of the calls; nothing is carried out."""

    def fact(tx: Transaction) -> Sequence[Event]:
        return keep_call_proposal(tx, ports, held.job.id, attempt, row, proposal)

    return await conclude(ports, held, lambda _, job: (job, ()), fact=fact, hold=True)


def _ends_as(rows: Sequence[Row]) -> str | None:
    """The failure that a job's mistakes so far lead to, if they are too many."""
    codes = [row["code"] for row in rows if row["code"] in _ENDS_AS]
    refused = [code for code in codes if code == "approval_not_available"]
    mistakes = [code for code in codes if code != "approval_not_available"]
    for found in (mistakes, refused):
        if len(found) > TOLD_AT_MOST:
            return _ENDS_AS[found[-1]]
    return None


async def _go_on(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """All calls are answered: the next turn may be bought, unless the model went wrong too often."""
    now = ports.clock.now()
    code = _ends_as(await ports.store.read(lambda tx: tx.tool_calls_of(held.job.id)))
    if code is not None:
        return await _give_up(ports, held, attempt, code)
    if current(held.situation.actions) is not None:
        return held

    def turn(_: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        data = {"reason": "next_turn", "attempt": attempt.id}
        after, event = lifecycle.apply(
            job, Command.REQUEUE, now, phase=Phase.READY, actor="backlane", data=data
        )
        return replace(after, wait_until=None, tries=0, due_at=now), [event]

    result = await conclude(ports, held, turn, hold=True)
    ports.point("tools_done")
    return result


async def _give_up(ports: Ports, held: Held, attempt: Attempt, code: str) -> Held | None:
    """End the job; what the model wrote beside its calls is kept."""
    now = ports.clock.now()
    body = await ports.store.read(lambda tx: tx.kept_answer(attempt.id))
    outputs = [] if body is None else await unhappy_outputs(ports, answer_of(body))

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        told = add_outputs(tx, ports, job, outputs, attempt_id=attempt.id, now=now)
        tx.drop_answer(attempt.id)
        after, event = fail(job, now, code, partial=bool(outputs))
        return after, [*told, event]

    return await conclude(ports, held, turn)

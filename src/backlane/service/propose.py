"""Actions are proposed: by the model's calls, by remote tools that ask, or by the type from its result.

Nothing is carried out here; a proposal is a row of the ledger that waits for its approval.
"""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from backlane.core.action import Action, ActionState, Origin, TypeAction, Unbound
from backlane.core.event import Event
from backlane.core.job import RESTORED, Attempt, Job
from backlane.core.lifecycle import TERMINAL
from backlane.core.policy import Over
from backlane.core.storage import Row, Transaction
from backlane.service.judge import policy_version
from backlane.service.ports import Ports
from backlane.service.seal import seal, seal_action


@dataclass(frozen=True, slots=True)
class Proposal:
    """A valid action that nobody has approved yet: its arguments are canonical JSON."""

    type: str
    origin: Origin
    target: str
    arguments: str
    content: str | None
    undo: int
    timeout: int


async def read_proposal(ports: Ports, action: TypeAction, arguments: Any, origin: Origin) -> Proposal:
    """A declared action with these arguments. Raises ValueError saying what is wrong with them."""
    canonical = action.read(arguments)
    content = await content_of(ports, action, canonical)
    return Proposal(action.name, origin, action.target, canonical, content, action.undo, action.timeout)


async def content_of(ports: Ports, action: TypeAction, arguments: str) -> str | None:
    """A digest of what the arguments point at now. Raises ValueError if it cannot be had."""
    try:
        async with asyncio.timeout(action.timeout / 1000):
            return await action.content(arguments)
    except (MemoryError, Unbound):
        raise  # the worker's trouble, not the action's; or what its proposer is told
    except Exception as error:
        ports.log(f"action {action.name}: its content could not be read: {type(error).__name__}")
        raise ValueError("what the arguments point at cannot be read") from error


def remote_proposal(name: str, server: str, arguments: str, *, timeout: int, content: str) -> Proposal:
    """A call of a remote tool that waits for approval. Raises ValueError for arguments that are no object."""
    try:
        given = json.loads(arguments or "{}")
        written = seal_arguments(given)
    except (ValueError, RecursionError) as error:
        raise ValueError("the arguments are not a JSON object that can be written down exactly") from error
    return Proposal(name, Origin.MCP, server, written, content, 0, timeout)


def seal_arguments(given: Any) -> str:
    """Arguments as canonical JSON. Raises ValueError for what is no object, or has no exact form."""
    if not isinstance(given, dict):
        raise ValueError("not an object")
    return seal(cast(dict[str, Any], given)).payload


def key_of(attempt_id: str, call: str) -> str:
    """The key of what a run asked for: the same for ever, even where its row is lost and written anew."""
    return f"bk_{hashlib.sha256(f'{attempt_id}/{call}'.encode()).hexdigest()[:40]}"


def keep_call_proposal(
    tx: Transaction, ports: Ports, job_id: str, attempt: Attempt, row: Row, proposal: Proposal
) -> Sequence[Event]:
    """Write a call's action down, once; a job that has ended takes no more."""
    job = tx.job(job_id, lock=True)
    if job is None or job.status in TERMINAL or not tx.call_proposed(row["id"]):
        return ()
    return keep_proposal(tx, ports, job, attempt, proposal, call=(row["id"], row["call_id"]))


def keep_proposal(
    tx: Transaction,
    ports: Ports,
    job: Job,
    attempt: Attempt,
    proposal: Proposal,
    *,
    call: tuple[str | None, str],
) -> list[Event]:
    """Write an action down as proposed. `call` is the row it answers, and what tells it from its siblings."""
    now = ports.clock.now()
    row, named = call
    action = Action(
        id=ports.ids.new("act"),
        workspace=job.workspace,
        job_id=job.id,
        attempt_id=attempt.id,
        call_row=row,
        number=len(tx.actions(job.id)) + 1,
        type=proposal.type,
        origin=proposal.origin,
        target=proposal.target,
        arguments=proposal.arguments,
        content=proposal.content,
        state=ActionState.PROPOSED,
        key=key_of(attempt.id, named),
        payload_hash="",
        policy_version=policy_version(ports.types.get(job.type), Over.ACTION),
        expires_at=job.useful_until,
        review_id=None,
        undo=proposal.undo,
        timeout=proposal.timeout,
        proposed_at=now,
    )
    action = replace(action, payload_hash=seal_action(action).hash)
    if attempt.sender == RESTORED:
        # After the backup that we live on was made it may have been approved and carried out: ask the outside.
        lost = {"state": ActionState.UNKNOWN, "code": RESTORED}
        action = replace(action, **lost, dispatched_at=now, unknown_at=now, look_at=now)
    tx.insert_action(action)
    data = {"action": action.id, "number": action.number, "origin": str(action.origin), "type": action.type}
    told = Event("action.proposed", now, "backlane", {**data, "payload_hash": action.payload_hash})
    return [told]

"""Actions as a caller may see them: what was proposed, how far it came, what they may do about it."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.action import SENT_BACK, Action, ActionState
from backlane.core.job import Job, Phase
from backlane.core.storage import Row, Transaction
from backlane.errors import NotFound
from backlane.service.access import Caller, decides, hidden_from, note_read, outside, owns, visible
from backlane.service.describe import moment
from backlane.service.ports import Ports


def action_view(
    caller: Caller, job: Job, action: Action, dispatches: Sequence[Row], review: Mapping[str, Any] | None
) -> dict[str, Any]:
    """An Action of the public contract. What it would do is closed to whom the job's outputs are closed."""
    sent_back = action.code == SENT_BACK and outside(caller, job)
    closed = sent_back or hidden_from(caller, job)
    sent = next((row for row in dispatches if row["action_id"] == action.id), None)
    return {
        "id": action.id,
        "object": "action",
        "job": action.job_id,
        "simulated": job.simulated,
        "number": action.number,
        "type": None if closed else action.type,
        "origin": str(action.origin),
        "target": None if closed else action.target,
        "arguments": None if closed else json.loads(action.arguments),
        "state": str(action.state),
        "code": action.code,
        "key": action.key,
        "payload_hash": None if closed else action.payload_hash,
        "review": action.review_id,
        "proposed_at": moment(action.proposed_at),
        "approved_at": moment(action.approved_at),
        "approved_by": action.approved_by,
        "policy_version": action.policy_version,
        "dispatch_after": moment(action.dispatch_after),
        "dispatched_at": moment(action.dispatched_at),
        "finished_at": moment(action.finished_at),
        "settled_by": action.settled_by,
        "receipt": None if closed or action.receipt is None else json.loads(action.receipt),
        "error": None if closed or sent is None else sent["said"],
        "allowed": _allowed(caller, job, action, review),
    }


def verdict_view(caller: Caller, job: Job, said: Sequence[Row]) -> dict[str, Any] | None:
    """The policies' newest word; its reason may quote what is closed."""
    if not said:
        return None
    newest, closed = said[-1], hidden_from(caller, job)
    return {
        "answer": newest["answer"],
        "reason": None if closed else newest["reason"],
        "policy": newest["policy"],
        "version": newest["version"],
        "at": moment(newest["at"]),
    }


def _allowed(caller: Caller, job: Job, action: Action, review: Mapping[str, Any] | None) -> list[str]:
    if may_undo(caller, job, review) and action.state is ActionState.APPROVED and job.finished_at is None:
        return ["undo"]
    asked = action.state is ActionState.UNKNOWN and job.phase is Phase.EFFECT_UNKNOWN
    return ["resolve"] if asked and caller.role in ("operator", "admin") else []


def may_undo(caller: Caller, job: Job, review: Mapping[str, Any] | None) -> bool:
    """Whoever asked for the job, whoever may decide on it, and operators: taking back is always the safer side.

    It decides how a job ends, and an end user's token decides nothing.
    """
    if caller.grant is not None:
        return False
    if owns(caller, job) or caller.role in ("operator", "admin"):
        return True
    return review is not None and decides(caller, job, {**review, "state": "pending"})


async def read_action(ports: Ports, caller: Caller, action_id: str) -> dict[str, Any]:
    """One action. Whoever reads of others' what it would do is in the audit log. Raises NotFound."""

    def body(tx: Transaction) -> tuple[bool, dict[str, Any]]:
        job, action = find_action(tx, caller, action_id)
        review = None if action.review_id is None else tx.review(action.review_id)
        audited = not owns(caller, job) and not hidden_from(caller, job)
        shown = action_view(caller, job, action, tx.dispatches_of([job.id])[job.id], review)
        said = [row for row in tx.verdicts(job.id) if row["action_id"] == action.id]
        return audited, {**shown, "policy": verdict_view(caller, job, said)}

    audited, view = await ports.store.read(body)
    if audited:
        await ports.store.write(
            lambda tx: note_read(tx, ports, caller, "action.read", action_id, caller.reason)
        )
    return view


def find_action(tx: Transaction, caller: Caller, action_id: str) -> tuple[Job, Action]:
    """An action within sight and its job, locked. Raises NotFound."""
    found = tx.action(action_id)
    if found is None or found.workspace != caller.workspace:
        raise NotFound
    job = visible(tx, caller, tx.job(found.job_id, lock=True))
    action = tx.action(action_id)
    assert action is not None
    return job, action

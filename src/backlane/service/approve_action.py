"""What a decision on an action's review leads to: approved, rejected, or new arguments under a new hash."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from backlane.core import lifecycle
from backlane.core.action import Action, ActionState, Origin
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Phase, Status
from backlane.core.lifecycle import Command
from backlane.core.policy import Answer, Verdict
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller
from backlane.service.edit import first_shown, hashes_shown
from backlane.service.fail import fail
from backlane.service.judge import judge_action, keep_verdict
from backlane.service.ports import Ports
from backlane.service.propose import content_of
from backlane.service.seal import seal_action
from backlane.service.tighten import tighten

POLICY = "policy"


@dataclass(frozen=True, slots=True)
class EditedArguments:
    """New arguments for an action: whole, validated, canonical."""

    arguments: str
    content: str | None
    said: Verdict | None = None


async def edited_arguments(ports: Ports, job: Job, review: Row, edits: Any) -> EditedArguments:
    """A reviewer's arguments as the action reads them. Raises InvalidRequest."""
    action = await ports.store.read(lambda tx: tx.action_of_review(review["id"]))
    job_type = ports.types.get(job.type)
    if action is None or job_type is None:
        raise InvalidRequest([("/edits", "the job's type is not loaded here, so nothing can check an edit")])
    declared = None if action.origin is Origin.MCP else job_type.action(action.type)
    if declared is None:
        raise InvalidRequest([("/edits", "a remote call is approved or rejected as it is")])
    if not isinstance(edits, dict):
        raise InvalidRequest([("/edits", "must be the whole new arguments, an object")])
    try:
        arguments = declared.read(cast(dict[str, Any], edits))
        content = await content_of(ports, declared, arguments)
    except ValueError as error:
        raise InvalidRequest([("/edits", str(error)[:500])]) from None
    said = await judge_action(ports, job_type, job, replace(action, arguments=arguments))
    if said is not None and said.answer is Answer.REFUSE:
        raise InvalidRequest([("/edits", f"the policy refuses these arguments: {said.reason}")])
    if said is not None and said.role == "admin" and review["role"] != "admin":
        raise InvalidRequest(
            [("/edits", "the policy asks an admin about these arguments; escalate it first")]
        )
    return EditedArguments(arguments, content, said)


def keep_arguments(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, edit: EditedArguments
) -> tuple[Row, list[Event]]:
    """Write the new arguments down: a new payload, a new hash; earlier approvals are void.

    Raises InvalidRequest where that hash was shown before: a decision on it would be one on two versions.
    """
    action = _action(tx, review)
    edited = replace(action, arguments=edit.arguments, content=edit.content)
    if edit.said is not None:
        edited = replace(edited, policy_version=edit.said.version)
    sealed = seal_action(edited)
    if sealed.hash in hashes_shown(tx, review):
        raise InvalidRequest([("/edits", "these are the arguments of this version or an earlier one")])
    kept = {"arguments": edit.arguments, "content": edit.content, "payload_hash": sealed.hash}
    tx.move_action(action.id, [ActionState.PROPOSED], policy_version=edited.policy_version, **kept)
    changes = {"payload": sealed.payload, "payload_hash": sealed.hash, "version": review["version"] + 1}
    changes["former_payload"] = first_shown(review)
    if edit.said is not None:
        keep_verdict(tx, ports, job, edit.said, sealed.hash, action=action.id)
        changes["quorum"] = max(review["quorum"], edit.said.quorum or 1)
    tx.change_review(review["id"], **changes)
    return {**review, **changes}, []


def approve_action(
    tx: Transaction, ports: Ports, job: Job, review: Row, now: int, *, actor: str
) -> tuple[Job, Sequence[Event]]:
    """The action is approved; its turn comes when its undo delay is over."""
    action = _action(tx, review)
    after = now + action.undo
    told = _approved(tx, action, now, after, actor=actor, review=review["id"])
    job, event = lifecycle.apply(job, Command.ACT, now, phase=Phase.ACTION, actor=actor)
    return replace(job, due_at=min(after, max(job.useful_until, now))), [told, event]


def approve_by_policy(
    tx: Transaction, ports: Ports, job: Job, action: Action, said: Verdict
) -> tuple[Job, list[Event]]:
    """A policy's recorded `allow` of exactly this hash approves a low-risk write; its version is bound with it.

    `action` is as it was judged. The job goes on as running/action.
    """
    now = ports.clock.now()
    _bind(tx, action)
    _note(tx, job, action, said, "action.allowed", now)
    approved = _approved(tx, action, now, now + action.undo, actor=POLICY, review=None)
    job, told = as_acting(job, now, actor=POLICY)
    return replace(job, due_at=now), [*told, approved]


def refuse_by_policy(
    tx: Transaction, ports: Ports, job: Job, action: Action, said: Verdict
) -> tuple[Job, list[Event]]:
    """A policy refuses the action, whoever would approve it: the job ends; what was carried out stays recorded."""
    now = ports.clock.now()
    _bind(tx, action)
    _note(tx, job, action, said, "action.refused", now)
    ended = {"state": ActionState.REJECTED, "finished_at": now, "code": "policy_refused"}
    tx.move_action(action.id, [ActionState.PROPOSED], **ended)
    # What is refused stays closed, at whatever gate it would have passed.
    job = tighten(tx, job, Gate.POLICY)
    after, event = fail(job, now, "policy_refused", actor=POLICY)
    return after, [event]


def _bind(tx: Transaction, action: Action) -> None:
    """Write the action's bytes down as they were judged."""
    bound = {
        "content": action.content,
        "policy_version": action.policy_version,
        "expires_at": action.expires_at,
    }
    sealed = seal_action(action)
    tx.move_action(action.id, [ActionState.PROPOSED], payload_hash=sealed.hash, review_id=None, **bound)


def _note(tx: Transaction, job: Job, action: Action, said: Verdict, what: str, now: int) -> None:
    line = {"workspace": job.workspace, "at": now, "actor": POLICY, "action": what, "subject": action.id}
    data = {"job": job.id, "version": said.version, "payload_hash": seal_action(action).hash}
    tx.audit({**line, "data": {**data, "policy": said.policy}})


def as_acting(job: Job, now: int, *, actor: str = "backlane") -> tuple[Job, list[Event]]:
    """The job as running with an action; it waited if its type was not loaded."""
    if job.status is Status.RUNNING and job.phase is Phase.ACTION:
        return job, []
    command = Command.START if job.status is Status.QUEUED else Command.PROCEED
    after, event = lifecycle.apply(job, command, now, phase=Phase.ACTION, actor=actor)
    return after, [event]


def _approved(
    tx: Transaction, action: Action, now: int, after: int, *, actor: str, review: str | None
) -> Event:
    changes = {"state": ActionState.APPROVED, "approved_at": now, "approved_by": actor}
    tx.move_action(action.id, [ActionState.PROPOSED], dispatch_after=after, **changes)
    data = {"action": action.id, "review": review, "until": after}
    return Event("action.approved", now, actor, data)


def reject_action(
    tx: Transaction, ports: Ports, job: Job, review: Row, now: int, *, actor: str
) -> tuple[Job, Sequence[Event]]:
    """A rejected action ends the job; those that were carried out stay recorded."""
    action = _action(tx, review)
    tx.move_action(action.id, [ActionState.PROPOSED], state=ActionState.REJECTED, finished_at=now)
    after, event = fail(job, now, "rejected", actor=actor)
    return replace(after, review_state="rejected"), [event]


def _action(tx: Transaction, review: Row) -> Action:
    found = tx.action_of_review(review["id"])
    assert found is not None, review["id"]
    return found

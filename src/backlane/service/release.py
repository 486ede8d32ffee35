"""The release gate: what a reviewer decides on is fixed by a hash before anybody sees it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.action import Action
from backlane.core.event import Event
from backlane.core.job import Attempt, Gate, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.policy import NO_POLICY, Over
from backlane.core.ports import JobType
from backlane.core.review import RESOLVED_ONLY
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest
from backlane.service.judge import output_verdict, policy_version
from backlane.service.ports import Ports
from backlane.service.seal import Sealed, seal
from backlane.service.situate import Held
from backlane.service.tighten import tighten

# What a review at the gate is called; at any other gate it is an output that is looked at.
_KIND = {Gate.SENSITIVE: Phase.SENSITIVE, Gate.SAMPLED: Phase.SAMPLED}
# What no review is about: what people brought, and the text of a run that came too late, which stays closed.
_NOT_SHOWN = frozenset({"input", "reviewer_notes", "late"})


def open_gate_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Stop a finished run at its gate, closed from now on: the review row, its hash, and the withheld content."""
    # Work that a person has to look at is closed until they have, whatever it was submitted with.
    job = tighten(tx, job, Gate.OUTPUT) if job.gate is Gate.NONE else job
    phase = _KIND.get(job.gate, Phase.OUTPUT)
    shown = [row for row in tx.artifacts(job.id) if row["kind"] not in _NOT_SHOWN and not row["sent_back"]]
    payload = {
        "job": job.id,
        "attempt": held.attempt.id if held.attempt else None,
        "policy_version": policy_version(held.type, Over.OUTPUT),
        "artifacts": [{"id": row["id"], "sha256": row["sha256"]} for row in shown],
    }
    said = output_verdict(tx, job.id)
    asked, sealed = asked_more(asked_of(held), said), seal(payload)
    respond_by = respond_until(held.type, job, now)
    return open_review(tx, ports, job, now, phase=phase, asked=asked, sealed=sealed, respond_by=respond_by)


def respond_until(job_type: JobType | None, job: Job, now: int) -> int:
    """Until when a review that is asked for now is to be decided: never later than the useful window."""
    within = job_type.respond_within if job_type else None
    return min(now + within, job.useful_until) if within else job.useful_until


@dataclass(frozen=True, slots=True)
class Asked:
    """Who is asked, how many of them, and whether the requester may be one."""

    role: str = "reviewer"
    quorum: int = 1
    separate: bool = True


def asked_of(held: Held) -> Asked:
    """Who reviews the jobs of this type."""
    if held.type is None:
        return Asked()
    return Asked(held.type.review_role, held.type.review_quorum, held.type.review_separate)


def asked_more(asked: Asked, said: Mapping[str, Any] | None) -> Asked:
    """Who is asked, where a policy may have asked for more: it never asks for less."""
    if said is None:
        return asked
    quorum = max(asked.quorum, said["quorum"] or 1)
    return replace(asked, quorum=quorum, role="admin" if said["role"] == "admin" else asked.role)


def open_unknown_review(
    tx: Transaction, ports: Ports, attempt: Attempt, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Ask an operator what became of a create; only `resolve` closes this."""
    payload = {
        "job": job.id,
        "attempt": attempt.id,
        "policy_version": NO_POLICY,
        "sent_at": attempt.sent_at,
    }
    return _open_unknown(tx, ports, job, now, Phase.SUBMISSION_UNKNOWN, payload)


def open_effect_review(
    tx: Transaction, ports: Ports, action: Action, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Ask an operator what became of an action; only `resolve` closes this, or a receipt that comes late."""
    payload = {
        "job": job.id,
        "action": action.id,
        "type": action.type,
        "target": action.target,
        "arguments": json.loads(action.arguments),
        "key": action.key,
        "policy_version": action.policy_version,
        "dispatched_at": action.dispatched_at,
    }
    return _open_unknown(tx, ports, job, now, Phase.EFFECT_UNKNOWN, payload)


def _open_unknown(
    tx: Transaction, ports: Ports, job: Job, now: int, phase: Phase, payload: dict[str, Any]
) -> tuple[Job, Sequence[Event]]:
    asked, sealed = Asked("operator"), seal(payload)
    return open_review(tx, ports, job, now, phase=phase, asked=asked, sealed=sealed, respond_by=None)


def open_review(
    tx: Transaction,
    ports: Ports,
    job: Job,
    now: int,
    *,
    phase: Phase,
    asked: Asked,
    sealed: Sealed,
    respond_by: int | None,
) -> tuple[Job, Sequence[Event]]:
    """Stop the job for a person: the review's row, and the hash of exactly what is shown."""
    review = {
        "id": ports.ids.new("rev"),
        "workspace": job.workspace,
        "job_id": job.id,
        "kind": str(phase),
        "state": "pending",
        "role": asked.role,
        "quorum": asked.quorum,
        "separate": asked.separate,
        "payload": sealed.payload,
        "payload_hash": sealed.hash,
        "respond_by": respond_by,
        "opened_at": now,
        "closed_at": None,
    }
    tx.insert_review(review)
    data = {"review": review["id"], "kind": review["kind"], "role": asked.role}
    after, event = lifecycle.apply(job, Command.OPEN_REVIEW, now, phase=phase, actor="backlane", data=data)
    opened = Event("review.opened", now, "backlane", {**data, "payload_hash": review["payload_hash"]})
    if phase in RESOLVED_ONLY:
        return replace(after, due_at=None), [event, opened]
    return replace(after, review_state="pending", due_at=respond_by or job.useful_until), [event, opened]


def close_open_review(tx: Transaction, job: Job, now: int, state: str) -> tuple[Job, list[Event]]:
    """End the open review of a job that goes on or ends without its decision."""
    review = tx.open_review(job.id)
    if review is None or not tx.close_review(review["id"], state, now):
        return job, []
    if review["kind"] not in RESOLVED_ONLY:
        job = replace(job, review_state=state)
    return job, [Event("review.expired", now, "backlane", {"review": review["id"], "state": state})]


def decided_release(job: Job, review: Row, now: int, *, actor: str) -> tuple[Job, Sequence[Event]]:
    """Let what was approved out: whole, or the edited version only."""
    after, event = lifecycle.apply(job, Command.APPROVE, now, actor=actor, data={"review": review["id"]})
    # What a reviewer edits of an action are its arguments, not what was written.
    edited = review["version"] > 1 and review["kind"] != Phase.ACTION
    told = Event("job.released", now, actor, {"review": review["id"], "edited": edited})
    after = replace(after, released="edited" if edited else "whole", due_at=None)
    return after, [event, told]


def require_result(tx: Transaction, review: Row) -> None:
    """Raises InvalidRequest where what was written has another form than its type's: releasing it as it is would
    complete a run without a result.
    """
    payload: dict[str, Any] = json.loads(review["payload"])
    shown = {one["id"] for one in payload.get("artifacts", [])}
    kinds = {row["kind"] for row in tx.artifacts(review["job_id"]) if row["id"] in shown}
    if "partial" in kinds and "result" not in kinds:
        said = "are required: what was written is no result of its type; bring the whole new value, or send it back"
        raise InvalidRequest([("/edits", said)])


def approved_review(tx: Transaction, job: Job) -> Row | None:
    """The approval that stands for what this job holds now, if there is one."""
    found = tx.reviews_of([job.id])[job.id]
    newest = next((one for one in reversed(found) if one["kind"] not in RESOLVED_ONLY), None)
    if newest is None or newest["state"] != "approved" or job.review_state != "approved":
        return None
    return newest if newest["kind"] != Phase.ACTION else None

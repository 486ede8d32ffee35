"""The release gate: what a reviewer decides on is fixed by a hash before anybody sees it."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import rfc8785

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Attempt, Gate, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.ports import Ports
from backlane.service.situate import Held

POLICY_VERSION = "1"


def open_gate_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Stop a finished run at its gate: the review row, its hash, and the withheld content."""
    phase = Phase.SENSITIVE if job.gate is Gate.SENSITIVE else Phase.OUTPUT
    shown = [row for row in tx.artifacts(job.id) if row["kind"] != "input"]
    payload = {
        "job": job.id,
        "attempt": held.attempt.id if held.attempt else None,
        "policy_version": POLICY_VERSION,
        "artifacts": [{"id": row["id"], "sha256": row["sha256"]} for row in shown],
    }
    role = held.type.review_role if held.type else "reviewer"
    quorum = held.type.review_quorum if held.type else 1
    within = held.type.respond_within if held.type else None
    respond_by = min(now + within, job.useful_until) if within else job.useful_until
    return _open(
        tx, ports, job, now, phase=phase, asked=(role, quorum), payload=payload, respond_by=respond_by
    )


def open_unknown_review(
    tx: Transaction, ports: Ports, attempt: Attempt, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Ask an operator what became of a create; only `resolve` closes this."""
    payload = {
        "job": job.id,
        "attempt": attempt.id,
        "policy_version": POLICY_VERSION,
        "sent_at": attempt.sent_at,
    }
    return _open(
        tx,
        ports,
        job,
        now,
        phase=Phase.SUBMISSION_UNKNOWN,
        asked=("operator", 1),
        payload=payload,
        respond_by=None,
    )


def _open(
    tx: Transaction,
    ports: Ports,
    job: Job,
    now: int,
    *,
    phase: Phase,
    asked: tuple[str, int],
    payload: dict[str, Any],
    respond_by: int | None,
) -> tuple[Job, Sequence[Event]]:
    body = rfc8785.dumps(payload)
    role, quorum = asked
    review = {
        "id": ports.ids.new("rev"),
        "workspace": job.workspace,
        "job_id": job.id,
        "kind": str(phase),
        "state": "pending",
        "role": role,
        "quorum": quorum,
        "payload": body.decode(),
        "payload_hash": f"sha256:{hashlib.sha256(body).hexdigest()}",
        "respond_by": respond_by,
        "opened_at": now,
        "closed_at": None,
    }
    tx.insert_review(review)
    data = {"review": review["id"], "kind": review["kind"], "role": role}
    after, event = lifecycle.apply(job, Command.OPEN_REVIEW, now, phase=phase, actor="backlane", data=data)
    opened = Event("review.opened", now, "backlane", {**data, "payload_hash": review["payload_hash"]})
    due_at = None if phase is Phase.SUBMISSION_UNKNOWN else job.useful_until
    review_state = job.review_state if phase is Phase.SUBMISSION_UNKNOWN else "pending"
    return replace(after, review_state=review_state, due_at=due_at), [event, opened]


def close_open_review(tx: Transaction, job: Job, now: int, state: str) -> tuple[Job, list[Event]]:
    """End the open review of a job that goes on or ends without its decision."""
    review = tx.open_review(job.id)
    if review is None or not tx.close_review(review["id"], state, now):
        return job, []
    if review["kind"] != Phase.SUBMISSION_UNKNOWN:
        job = replace(job, review_state=state)
    return job, [Event("review.expired", now, "backlane", {"review": review["id"], "state": state})]

"""Reviews as a caller may see them: what is decided on, who decided what, what they may do now."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.action import SENT_BACK
from backlane.core.job import Job, Phase
from backlane.core.review import claimed_by_another
from backlane.core.storage import Row, Transaction
from backlane.core.verb import allows
from backlane.errors import NotFound
from backlane.service.access import Caller, closed_for, decides, note_read, outside, owns, visible
from backlane.service.annotate import may_read
from backlane.service.describe import moment
from backlane.service.ports import Ports
from backlane.service.read import read_cursor, write_cursor
from backlane.service.show_actions import verdict_view
from backlane.service.tell_requester import is_told

# Payloads that hold what a model wrote; the others name contents by hash, and reading those is audited by itself.
_TELLING = frozenset({Phase.ACTION, Phase.EFFECT_UNKNOWN})
_DECISIONS = ("approve", "request_changes", "reject")


def review_view(
    ports: Ports, caller: Caller, job: Job, row: Row, decided: Sequence[Row], handed: Sequence[Row]
) -> dict[str, Any]:
    """A Review of the public contract. Its payload is closed to whom the job's outputs are closed."""
    sent_back = row["state"] == SENT_BACK and outside(caller, job)
    closed = sent_back or closed_for(caller, job)
    # An approved edit releases only the edited version.
    former: str | None = None if closed or outside(caller, job) else row["former_payload"]
    now = ports.clock.now()
    live = row["claimed_by"] is not None and (row["claimed_until"] or 0) > now
    return {
        "id": row["id"],
        "object": "review",
        "job": row["job_id"],
        "simulated": job.simulated,
        "kind": row["kind"],
        "state": row["state"],
        "role": row["role"],
        "quorum": row["quorum"],
        "separate": row["separate"],
        "version": row["version"],
        "payload": None if closed else json.loads(row["payload"]),
        "payload_hash": None if closed else row["payload_hash"],
        "former_payload": None if former is None else json.loads(former),
        "opened_at": moment(row["opened_at"]),
        "closed_at": moment(row["closed_at"]),
        "respond_by": moment(row["respond_by"]),
        "claim": {"by": row["claimed_by"], "until": moment(row["claimed_until"])} if live else None,
        "decisions": [_decision(caller, job, row, one, closed) for one in decided],
        "escalations": [_escalation(caller, job, one) for one in handed if one["review_id"] == row["id"]],
        "allowed": _allowed(caller, job, row, now),
    }


def _decision(caller: Caller, job: Job, review: Row, row: Row, closed: bool) -> dict[str, Any]:
    hidden = not is_told(review, row) and not may_read(caller, job, row["actor"])
    return {
        "id": row["id"],
        "decision": row["decision"],
        "by": row["actor"],
        "role": row["role"],
        "version": row["version"],
        "payload_hash": None if closed else row["payload_hash"],
        "reason_code": row["reason_code"],
        "notes": None if hidden else row["notes"],
        "edited": row["edited"],
        "at": moment(row["at"]),
    }


def _escalation(caller: Caller, job: Job, row: Row) -> dict[str, Any]:
    return {
        "by": row["actor"],
        "from_role": row["from_role"],
        "to_role": row["to_role"],
        # A colleague's words may quote what is closed.
        "reason": row["reason"] if may_read(caller, job, row["actor"]) else None,
        "at": moment(row["at"]),
    }


def _allowed(caller: Caller, job: Job, row: Row, now: int) -> list[str]:
    """What this caller may do with the review now."""
    if not decides(caller, job, row) or not allows("approve", job.status, job.phase):
        return []
    claim = "take_over" if claimed_by_another(row, caller.name, now) else "claim"
    if row["claimed_by"] == caller.name and (row["claimed_until"] or 0) > now:
        claim = "release_claim"
    return [*_DECISIONS, claim]


async def read_review(ports: Ports, caller: Caller, review_id: str) -> dict[str, Any]:
    """One review. Whoever reads what an action would do is in the audit log. Raises NotFound."""

    def body(tx: Transaction) -> tuple[bool, dict[str, Any]]:
        row = tx.review(review_id)
        if row is None or row["workspace"] != caller.workspace:
            raise NotFound
        job = visible(tx, caller, tx.job(row["job_id"]))
        shown = review_view(ports, caller, job, row, tx.decisions(review_id), tx.escalations(job.id))
        audited = _telling(caller, job, row)
        return audited, {**shown, "policy": _policy(tx, caller, job, row)}

    audited, view = await ports.store.read(body)
    if audited:
        await ports.store.write(lambda tx: note_read(tx, ports, caller, "review.read", review_id, None))
    return view


def _policy(tx: Transaction, caller: Caller, job: Job, review: Row) -> dict[str, Any] | None:
    """What the policies said about what this review shows."""
    action = tx.action_of_review(review["id"])
    known = None if action is None else action.id
    said = [row for row in tx.verdicts(job.id) if row["action_id"] == known]
    return verdict_view(caller, job, said)


async def list_reviews(
    ports: Ports, caller: Caller, filters: Mapping[str, str], cursor: str | None, limit: int, *, secret: bytes
) -> dict[str, Any]:
    """A page of reviews: reviewers see their role's, operators and admins all. One audit line names the jobs whose
    actions it shows."""
    wanted = dict(filters)
    if caller.role == "reviewer":
        if wanted.get("role", "reviewer") != "reviewer":
            return {"data": [], "next_cursor": None}
        wanted["role"] = "reviewer"
    after = str(read_cursor(secret, caller, "reviews", cursor)[0]) if cursor is not None else None

    def body(tx: Transaction) -> tuple[list[dict[str, Any]], list[str], str | None]:
        rows = tx.reviews(caller.workspace, wanted, after, limit + 1)
        last = rows[limit - 1]["id"] if len(rows) > limit else None
        jobs = [_job_of(tx, row) for row in rows[:limit]]
        views = [_listed(tx, ports, caller, *one) for one in zip(jobs, rows, strict=False)]
        told = [job.id for job, row in zip(jobs, rows, strict=False) if _telling(caller, job, row)]
        return views, sorted(set(told)), last

    views, told, last = await ports.store.read(body)
    if told:
        await ports.store.write(
            lambda tx: note_read(tx, ports, caller, "reviews.read", caller.workspace, None, jobs=told)
        )
    following = None if last is None else write_cursor(secret, caller, "reviews", [last])
    return {"data": views, "next_cursor": following}


def _telling(caller: Caller, job: Job, row: Row) -> bool:
    """Whether this review shows the caller what an action of somebody else's job would do."""
    return row["kind"] in _TELLING and not owns(caller, job) and not closed_for(caller, job)


def _job_of(tx: Transaction, row: Row) -> Job:
    job = tx.job(row["job_id"])
    assert job is not None
    return job


def _listed(tx: Transaction, ports: Ports, caller: Caller, job: Job, row: Row) -> dict[str, Any]:
    return review_view(ports, caller, job, row, tx.decisions(row["id"]), tx.escalations(job.id))

"""Reading: the Job, its events, artifacts and reviews as a caller may see them. Nothing is changed here."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from backlane.core import lifecycle
from backlane.core.duration import Usual, usual
from backlane.core.event import Change, timing
from backlane.core.job import Attempt, Job
from backlane.core.schedule import MINUTE
from backlane.core.storage import Row, Search, Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller, closed_for, relation, visible
from backlane.service.describe import headline, moment, outcome, waiting_on
from backlane.service.ports import Ports
from backlane.service.situate import in_doubt


@dataclass(slots=True)
class _Around:
    """Everything beside the rows of some jobs, read once for all of them."""

    attempts: dict[str, list[Attempt]]
    artifacts: dict[str, list[Row]]
    costs: dict[str, list[Row]]
    reviews: dict[str, list[Row]]
    changes: dict[str, list[Change]]
    newest: dict[str, tuple[int, int]]
    durations: dict[tuple[str, str], Usual | None]


_KINDS_AT_MOST = 10_000


def _around(tx: Transaction, jobs: Sequence[Job]) -> _Around:
    ids = [job.id for job in jobs]
    return _Around(
        tx.attempts_of(ids),
        tx.artifacts_of(ids),
        tx.cost_lines_of(ids),
        tx.reviews_of(ids),
        tx.changes(ids),
        tx.newest_events(ids),
        _durations(tx, jobs),
    )


def _durations(tx: Transaction, jobs: Sequence[Job]) -> dict[tuple[str, str], Usual | None]:
    """What is usual for each job's type and lane, from the model that was used last."""
    found: dict[tuple[str, str], Usual | None] = {}
    if jobs:
        for row in tx.durations_of(jobs[0].workspace, sorted({job.type for job in jobs})):
            found.setdefault((row["type"], row["lane"]), usual(row["sample"]))
    return found


def _usually(found: Usual | None) -> dict[str, float] | None:
    """An honest estimate, or none."""
    if found is None:
        return None
    return {"p50_seconds": round(found.p50 / 1000, 1), "p90_seconds": round(found.p90 / 1000, 1)}


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _attempt(attempt: Attempt, costs: Sequence[Row], closed: bool) -> dict[str, Any]:
    amount = next((line["amount"] for line in costs if line["attempt_id"] == attempt.id), None)
    return {
        "id": attempt.id,
        "number": attempt.number,
        "reason": attempt.reason,
        "state": attempt.state,
        "lane": attempt.lane,
        "provider_account": attempt.provider_account,
        "provider_response_id": attempt.provider_response_id,
        "planned_at": moment(attempt.planned_at),
        "sent_at": moment(attempt.sent_at),
        "accepted_at": moment(attempt.accepted_at),
        "finished_at": moment(attempt.finished_at),
        "code": attempt.code,
        "usage": {} if closed else (attempt.usage or {}),
        "cost": amount,
    }


def artifact_view(row: Row, closed: bool) -> dict[str, Any]:
    """An artifact's metadata; a closed one shows that it exists, not how large or what it holds."""
    hidden = closed and row["kind"] != "input"
    return {
        "id": row["id"],
        "object": "artifact",
        "job": row["job_id"],
        "name": row["name"],
        "kind": row["kind"],
        "media_type": row["media_type"],
        "bytes": None if hidden else row["bytes"],
        "sha256": None if hidden else row["sha256"],
        "created_at": moment(row["created_at"]),
    }


def _cost(costs: Sequence[Row], attempts: Sequence[Attempt]) -> dict[str, Any]:
    priced = [Decimal(line["amount"]) for line in costs if line["amount"] is not None]
    return {
        "currency": "USD",
        "estimated": None,
        "reserved": None,
        "settled": format(sum(priced, Decimal(0)), "f") if priced else None,
        "unpriced": in_doubt(tuple(attempts), list(costs)),
        "basis": "; ".join(sorted({line["basis"] for line in costs})) or None,
    }


def _timing(job: Job, changes: Sequence[Change], job_type_budget: int | None, now: int) -> dict[str, Any]:
    ended = job.finished_at
    return {
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(ended),
        "useful_until": moment(job.useful_until),
        "deadline": moment(job.deadline),
        "late": job.deadline is not None and (ended or now) > job.deadline,
        "latency_budget_seconds": _seconds(job_type_budget),
        **timing(changes, now if ended is None else ended),
    }


def _review(review: Row | None, job: Job) -> dict[str, Any]:
    if review is None:
        return {"id": None, "state": job.review_state, "kind": None, "payload_hash": None, "respond_by": None}
    return {
        "id": review["id"],
        "state": review["state"] if review["kind"] != "submission_unknown" else job.review_state,
        "kind": review["kind"],
        "payload_hash": review["payload_hash"],
        "respond_by": moment(review["respond_by"]),
    }


_IDENTITY = (
    "id", "workspace", "submitted_by", "user", "account", "type", "type_version", "simulated", "status", "phase",
    "authority", "summary", "lane", "live", "window", "lane_reasons", "provider", "provider_account",
    "provider_response_id", "retry_of", "retried_as", "continues", "held", "metadata",
)  # fmt: skip


def _identity(job: Job) -> dict[str, Any]:
    found = {name: getattr(job, name) for name in _IDENTITY}
    return {"object": "job", "group": job.group_id, "case": job.case_id, **found}


def job_view(ports: Ports, caller: Caller, job: Job, around: _Around) -> dict[str, Any]:
    """The Job of the public contract, as this caller may see it."""
    now = ports.clock.now()
    closed = closed_for(caller, job)
    job_type = ports.types.get(job.type)
    review = next(iter(reversed(around.reviews[job.id])), None)
    allowed = lifecycle.allowed(
        job, relation(caller, job), job_type.who_may_cancel if job_type else "requester"
    )
    attempts, costs = around.attempts[job.id], around.costs[job.id]
    cost = _cost(costs, attempts)
    seq, last_event_at = around.newest.get(job.id, (0, job.created_at))
    partial = any(row["kind"] == "partial" for row in around.artifacts[job.id])
    return {
        **_identity(job),
        "phase_since": moment(job.phase_since),
        "waiting_on": waiting_on(job, review),
        "attempts": [_attempt(one, costs, closed) for one in attempts],
        "progress": {
            "percent": None,
            "text": headline(job),
            "last_event_at": moment(last_event_at),
            "seq": seq,
            "usually": _usually(around.durations.get((job.type, job.lane))),
        },
        "outcome": outcome(job, cost=cost["settled"], partial=partial, allowed=allowed, review=review),
        "failure": job.failure,
        "review": _review(review, job),
        "artifacts": [artifact_view(row, closed) for row in around.artifacts[job.id]],
        "actions": [],
        "cost": cost,
        "timing": _timing(job, around.changes[job.id], job_type.latency_budget if job_type else None, now),
        "archived_at": moment(job.archived_at),
        "allowed": allowed,
    }


async def read_job(ports: Ports, caller: Caller, job_id: str) -> dict[str, Any]:
    """One job. Raises NotFound."""

    def body(tx: Transaction) -> tuple[Job, _Around]:
        job = visible(tx, caller, tx.job(job_id))
        return job, _around(tx, [job])

    job, around = await ports.store.read(body)
    return job_view(ports, caller, job, around)


class Estimates:
    """What is usual for a type and lane, remembered for a minute: the answer to a submit needs no read for it."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: dict[tuple[str, str, str], tuple[Usual | None, int]] = {}

    async def usual_for(self, job: Job) -> Usual | None:
        """What is usual for jobs like this one; None where too few were seen."""
        kind, now = (job.workspace, job.type, job.lane), self._ports.clock.now()
        found, at = self._known.get(kind, (None, now - MINUTE))
        if 0 <= now - at < MINUTE:
            return found
        durations = await self._ports.store.read(lambda tx: _durations(tx, [job]))
        if len(self._known) >= _KINDS_AT_MOST:
            self._known.clear()
        self._known[kind] = durations.get((job.type, job.lane)), now
        return self._known[kind][0]


def fresh_view(ports: Ports, caller: Caller, job: Job, seq: int, usual: Usual | None) -> dict[str, Any]:
    """The Job as it was just made, with its first `seq` events and nothing else around it: no need to read it."""
    changes = [Change(job.created_at, job.status, job.phase)]
    newest = {job.id: (seq, job.created_at)}
    durations = {(job.type, job.lane): usual}
    none: dict[str, list[Row]] = {job.id: []}
    around = _Around({job.id: []}, none, none, none, {job.id: changes}, newest, durations)
    return job_view(ports, caller, job, around)


async def read_raw(ports: Ports, caller: Caller, job_id: str) -> Job:
    """One job's row, if it is within sight. Raises NotFound."""
    return await ports.store.read(lambda tx: visible(tx, caller, tx.job(job_id)))


async def list_jobs(
    ports: Ports, caller: Caller, search: Search, cursor: str | None, secret: bytes
) -> dict[str, Any]:
    """A page of jobs within sight, newest first. Raises InvalidRequest for a foreign or broken cursor."""
    search = replace(search, workspace=caller.workspace)
    if not caller.sees_everything:
        role = caller.role if caller.role == "reviewer" else None
        search = replace(search, submitted_by=caller.name, reviewed_by=role)
    if cursor is not None:
        at, last = read_cursor(secret, caller, "jobs", cursor)
        search = replace(search, after=(int(at), str(last)))

    def body(tx: Transaction) -> tuple[list[Job], _Around]:
        jobs = tx.search(replace(search, limit=search.limit + 1))
        return jobs, _around(tx, jobs[: search.limit])

    jobs, around = await ports.store.read(body)
    page = jobs[: search.limit]
    following = None
    if len(jobs) > search.limit:
        following = write_cursor(secret, caller, "jobs", [page[-1].created_at, page[-1].id])
    return {"data": [job_view(ports, caller, job, around) for job in page], "next_cursor": following}


def write_cursor(secret: bytes, caller: Caller, of: str, place: Sequence[Any]) -> str:
    """A place in a list, signed and bound to the workspace."""
    body = json.dumps([of, caller.workspace, *place]).encode()
    mark = hmac.new(secret, body, hashlib.sha256).digest()[:12]
    return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")


def read_cursor(secret: bytes, caller: Caller, of: str, cursor: str) -> list[Any]:
    """The place a cursor names. Raises InvalidRequest for one that was not made here for this caller."""
    wrong = InvalidRequest([("?cursor", "is not a cursor of this list")])
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise wrong from None
    mark, body = raw[:12], raw[12:]
    if not hmac.compare_digest(mark, hmac.new(secret, body, hashlib.sha256).digest()[:12]):
        raise wrong
    place = json.loads(body)
    if place[:2] != [of, caller.workspace]:
        raise wrong
    return place[2:]

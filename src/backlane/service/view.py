"""The Job of the public contract, built from its row and everything around it, as one caller may see it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from backlane.core.action import Action, anything_sent
from backlane.core.budget import label
from backlane.core.duration import Usual, usual
from backlane.core.event import Change, timing
from backlane.core.job import Attempt, AttemptReason, Job, Phase, newest_of
from backlane.core.lane import kind_of
from backlane.core.ports import JobType
from backlane.core.review import RESOLVED_ONLY
from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller, draw_unsaid, hidden_artifact, hidden_from, outside
from backlane.service.describe import headline, moment, outcome, waiting_on, window_target
from backlane.service.incident import holds_of
from backlane.service.permit import allowed_by
from backlane.service.ports import Ports
from backlane.service.quote import unquoted
from backlane.service.show_actions import action_view
from backlane.service.situate import in_doubt


@dataclass(slots=True)
class Around:
    """Everything beside the rows of some jobs, read once for all of them."""

    attempts: dict[str, list[Attempt]]
    artifacts: dict[str, list[Row]]
    costs: dict[str, list[Row]]
    reviews: dict[str, list[Row]]
    changes: dict[str, list[Change]]
    newest: dict[str, tuple[int, int]]
    durations: dict[tuple[str, str], Usual | None]
    actions: dict[str, list[Action]]
    dispatches: dict[str, list[Row]]
    holds: dict[str, Row] = field(default_factory=dict[str, Row])
    reservations: dict[str, list[Row]] = field(default_factory=dict[str, list[Row]])
    budgets: dict[str, Row] = field(default_factory=dict[str, Row])


def read_around(tx: Transaction, jobs: Sequence[Job]) -> Around:
    """Read everything around these jobs."""
    ids = [job.id for job in jobs]
    files, outputs = tx.files_of(ids), tx.artifacts_of(ids)
    return Around(
        tx.attempts_of(ids),
        {job_id: [*files[job_id], *outputs[job_id]] for job_id in ids},
        tx.cost_lines_of(ids),
        tx.reviews_of(ids),
        tx.changes(ids),
        tx.newest_events(ids),
        usual_of(tx, jobs),
        tx.actions_of(ids),
        tx.dispatches_of(ids),
        _holds(tx, jobs),
        tx.reservations_of(ids),
        _budgets(tx, jobs),
    )


def _holds(tx: Transaction, jobs: Sequence[Job]) -> dict[str, Row]:
    """What holds the lanes of the jobs that wait for one; a person's hold before an incident."""
    found: dict[str, Row] = {}
    for job in jobs:
        if job.phase is Phase.INCIDENT:
            rows = sorted(holds_of(tx, job), key=lambda row: row["held_by"] is None)
            if rows:
                found[job.id] = rows[0]
    return found


def _budgets(tx: Transaction, jobs: Sequence[Job]) -> dict[str, Row]:
    """The budgets that jobs wait for, by label."""
    if not any(job.phase is Phase.BUDGET for job in jobs):
        return {}
    return {label(row): row for row in tx.budgets(jobs[0].workspace)}


def usual_of(tx: Transaction, jobs: Sequence[Job]) -> dict[tuple[str, str], Usual | None]:
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
        "window": attempt.window,
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


def _attempts(
    attempts: Sequence[Attempt], costs: Sequence[Row], *, closed: bool, apart: bool
) -> list[dict[str, Any]]:
    """The attempts; of those whose draft a reviewer sent back, no sizes for whom the gate is there (`apart`)."""
    asked = [one.number for one in attempts if one.reason is AttemptReason.CHANGES_REQUESTED]
    gone = range(max(asked, default=0)) if apart else range(0)
    return [_attempt(one, costs, closed or one.number in gone) for one in attempts]


def artifact_view(caller: Caller, job: Job | None, row: Row) -> dict[str, Any]:
    """An artifact's metadata; a closed one shows that it exists, not how large or what it holds.

    `job` is None for a file that was sent in and read by itself: no gate stands before it.
    """
    hidden = job is not None and hidden_artifact(caller, job, row)
    # A model names the files it writes, late ones too, and the tools it calls.
    nameless = hidden and row["kind"] in ("file", "tool_output", "late")
    return {
        "id": row["id"],
        "object": "artifact",
        "job": row["job_id"],
        "name": row["kind"] if nameless else row["name"],
        "kind": row["kind"],
        "media_type": "application/octet-stream" if nameless else row["media_type"],
        "bytes": None if hidden else row["bytes"],
        "sha256": None if hidden else row["sha256"],
        "sent_back": job is not None and bool(row.get("sent_back")),
        "simulated": job is not None and job.simulated,
        "created_at": moment(row["created_at"]),
    }


def _reserved(reservations: Sequence[Row]) -> str | None:
    """What the job's runs hold of the widest budget that each counts for; None where no budget ever held for it."""
    if not reservations:
        return None
    held: dict[str, str] = {}
    # Read by id: of an attempt's, the account's and the type's come before the workspace's.
    for row in reservations:
        if row["freed_at"] is None and row["unpriced_at"] is None:
            held[row["attempt_id"]] = row["amount"]
    return format(sum(map(Decimal, held.values()), Decimal(0)), "f")


def _cost(
    job: Job, costs: Sequence[Row], attempts: Sequence[Attempt], reservations: Sequence[Row]
) -> dict[str, Any]:
    priced = [Decimal(line["amount"]) for line in costs if line["amount"] is not None]
    return {
        "currency": "USD",
        "estimated": None,
        "reserved": _reserved(reservations),
        "settled": format(sum(priced, Decimal(0)), "f") if priced else None,
        "unpriced": in_doubt(tuple(attempts), list(costs))
        + sum(bool(line["unpriced_parts"]) for line in costs),
        "basis": "; ".join(sorted({line["basis"] for line in costs})) or None,
        "simulated": job.simulated,
    }


def _timing(
    job: Job, changes: Sequence[Change], job_type: JobType | None, now: int, *, target: int | None
) -> dict[str, Any]:
    ended = job.finished_at
    return {
        "created_at": moment(job.created_at),
        "started_at": moment(job.started_at),
        "finished_at": moment(ended),
        "useful_until": moment(job.useful_until),
        "deadline": moment(job.deadline),
        "late": job.deadline is not None and (ended or now) > job.deadline,
        "window_target": moment(target),
        "past_window": target is not None and (ended or now) > target,
        "latency_budget_seconds": _seconds(job_type.latency_budget if job_type else None),
        **timing(changes, now if ended is None else ended),
    }


def _review(review: Row | None, job: Job, closed: bool, *, apart: bool) -> dict[str, Any]:
    """The job's review; how its draw went is told with its result to whom the gate is there for (`apart`)."""
    state = "not_required" if apart and draw_unsaid(job) else job.review_state
    if review is None:
        return {"id": None, "state": state, "kind": None, "payload_hash": None, "respond_by": None}
    return {
        "id": review["id"],
        "state": state if review["kind"] in RESOLVED_ONLY else review["state"],
        "kind": review["kind"],
        # A digest of what is closed is closed.
        "payload_hash": None if closed else review["payload_hash"],
        "respond_by": moment(review["respond_by"]),
    }


_IDENTITY = (
    "id", "workspace", "submitted_by", "user", "account", "type", "type_version", "simulated", "status", "phase",
    "authority", "summary", "lane", "live", "window", "lane_reasons", "provider", "provider_account",
    "provider_response_id", "retry_of", "retried_as", "continues", "held", "metadata",
)  # fmt: skip


def _hold(job: Job, around: Around) -> Row | None:
    """What holds the job: its lane's incident, or its budget."""
    if job.phase is Phase.BUDGET:
        return around.budgets.get(job.budget or "")
    return around.holds.get(job.id)


def _identity(job: Job) -> dict[str, Any]:
    found = {name: getattr(job, name) for name in _IDENTITY}
    sensitive = job.sensitive is not None
    return {"object": "job", "group": job.group_id, "case": job.case_id, "sensitive": sensitive, **found}


def job_view(ports: Ports, caller: Caller, job: Job, around: Around) -> dict[str, Any]:
    """The Job of the public contract, as this caller may see it."""
    now = ports.clock.now()
    closed, job = hidden_from(caller, job), unquoted(caller, job)
    job_type = ports.types.get(job.type)
    review = next(iter(reversed(around.reviews[job.id])), None)
    actions = around.actions[job.id]
    may = allowed_by(ports, caller, job, review, actions)
    attempts, costs = around.attempts[job.id], around.costs[job.id]
    newest, cost = newest_of(attempts), _cost(job, costs, attempts, around.reservations.get(job.id, ()))
    seq, last_event_at = around.newest.get(job.id, (0, job.created_at))
    target = window_target(newest)
    late = target is not None and job.finished_at is None and now > target
    return {
        **_identity(job),
        "phase_since": moment(job.phase_since),
        "waiting_on": waiting_on(job, review, target=target, late=late, hold=_hold(job, around)),
        "attempts": _attempts(attempts, costs, closed=closed, apart=outside(caller, job)),
        "progress": {
            "percent": None,
            "text": headline(job, newest, late=late),
            "last_event_at": moment(last_event_at),
            "seq": seq,
            "usually": _usually(around.durations.get((job.type, kind_of(job.lane, job.window)))),
        },
        "outcome": outcome(
            job,
            newest,
            cost=cost["settled"],
            partial=any(row["kind"] == "partial" for row in around.artifacts[job.id]),
            allowed=may,
            review=review,
            late=late,
            sent=anything_sent(actions),
        ),
        "failure": job.failure,
        "review": _review(review, job, closed, apart=outside(caller, job)),
        "artifacts": [artifact_view(caller, job, row) for row in around.artifacts[job.id]],
        "actions": [action_view(caller, job, one, around.dispatches[job.id], review) for one in actions],
        "cost": cost,
        "timing": _timing(job, around.changes[job.id], job_type, now, target=target),
        "archived_at": moment(job.archived_at),
        "allowed": may,
    }

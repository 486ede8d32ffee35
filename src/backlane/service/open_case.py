"""Opening a case: by a person's word, or by itself where the job type's table says so; at most one open per job."""

from collections.abc import Mapping

from backlane.core.case import opens_by_itself
from backlane.core.event import Event
from backlane.core.job import Job, Phase, Status, newest_of
from backlane.core.lifecycle import TERMINAL
from backlane.core.situation import Wait
from backlane.core.storage import Row, Transaction
from backlane.core.stray import followed
from backlane.service.access import Caller, visible
from backlane.service.alert import unflag_job
from backlane.service.annotate import keep_note
from backlane.service.describe import headline
from backlane.service.end_actions import end_actions
from backlane.service.ports import Ports
from backlane.service.witness import witness

_SAYS_WHY = frozenset({Phase.EFFECT_UNKNOWN, Phase.SUBMISSION_UNKNOWN})


async def open_case(
    ports: Ports, caller: Caller, job_id: str, reason: str, notes: str | None
) -> tuple[Row, bool]:
    """Open a case for a job within sight, or find the one that is open; whether this call opened it.

    A note that comes along is kept in either case. Raises NotFound.
    """

    def body(tx: Transaction) -> tuple[Row, bool]:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        case = tx.open_case(job_id)
        new = case is None
        if case is None:
            case = opened(tx, ports, job, reason, actor=caller.name)
        if notes:
            keep_note(tx, ports, caller, job, notes, for_requester=False)
        if new:
            witness(tx, ports, caller, "case.open", str(case["id"]), job=job_id)
        return case, new

    return await ports.store.write(body)


def opened(
    tx: Transaction, ports: Ports, job: Job, reason: str, *, actor: str, owner: str | None = None
) -> Row:
    """Write a case down, with its event; the job names it from now on. There must be no open one."""
    now = ports.clock.now()
    failure = job.failure or {}
    told = job.status in (Status.FAILED, Status.EXPIRED) or job.phase in _SAYS_WHY
    case: Row = {
        "id": ports.ids.new("case"),
        "workspace": job.workspace,
        "job_id": job.id,
        "state": "open",
        "reason": reason,
        "cause": failure.get("cause"),
        "code": failure.get("code"),
        "failure": _headline(tx, job) if told else None,
        "owner": owner,
        "promise": None,
        "promise_by": None,
        "opened_by": actor,
        "opened_at": now,
        "closed_by": None,
        "closed_at": None,
    }
    tx.insert_case(case)
    tx.mark_job(job, case_id=case["id"])
    tx.keep_events(job.id, [Event("case.opened", now, actor, {"case": case["id"], "state": "open"})])
    return case


def _headline(tx: Transaction, job: Job) -> str:
    return headline(job, newest_of(tx.attempts(job.id)))


def follow_up(tx: Transaction, ports: Ports, saved: Job) -> None:
    """What a change of status leads to beside the job: a case that opens by itself; with its end, a flag is taken
    down, what was never sent is taken back, and older runs go on being followed."""
    if saved.status in TERMINAL:
        unflag_job(tx, ports, saved)
        end_actions(tx, saved, ports.clock.now())
        until = _followed_until(tx, ports, saved)
        if until is not None:
            tx.wake(saved.id, until)
    job_type = ports.types.get(saved.type)
    table: Mapping[str, bool] = job_type.cases if job_type else {}
    if opens_by_itself(table, saved.status, saved.phase, saved.failure) and tx.open_case(saved.id) is None:
        opened(tx, ports, saved, _headline(tx, saved), actor="backlane")


def _followed_until(tx: Transaction, ports: Ports, job: Job) -> int | None:
    """When an ended job's older runs are to be looked at: they may have been found while it ended."""
    now, rows = ports.clock.now(), tx.attempts(job.id)
    newest, soonest = newest_of(rows), list[int]()
    for one in rows:
        if one is newest:
            continue
        step = followed(one, ports.timings, now)
        if not isinstance(step, Wait):
            return now
        if step.until is not None:
            soonest.append(step.until)
    return min(soonest, default=None)

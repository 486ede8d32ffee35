"""Cases as a caller may see them: what went wrong in plain words, who looks after it, what was promised and noted."""

from collections.abc import Mapping
from typing import Any

from backlane.core.job import Job
from backlane.core.storage import Row, Search, Transaction
from backlane.service.access import Caller, hidden_from, note_read
from backlane.service.annotate import BACKLANE, may_read, notes_for
from backlane.service.change_case import found_case
from backlane.service.describe import headline, moment
from backlane.service.ports import Ports
from backlane.service.quote import tells_quotes, unquoted
from backlane.service.read import read_cursor, within_sight, write_cursor


def case_view(tx: Transaction, caller: Caller, job: Job, row: Row) -> dict[str, Any]:
    """A Case of the public contract. Why a person opened it is for colleagues, like a note."""
    reason = row["reason"] if may_read(caller, job, row["opened_by"]) else None
    if row["opened_by"] == BACKLANE:
        # Its own reason is the failure in plain words, which may quote the provider.
        reason = _unquoted(caller, job, row, reason)
    return {
        "id": row["id"],
        "object": "case",
        "job": row["job_id"],
        "job_status": job.status,
        "retried_as": job.retried_as,
        "state": row["state"],
        "reason": reason,
        "failure": _unquoted(caller, job, row, row["failure"]),
        "cause": row["cause"],
        "code": row["code"],
        "owner": row["owner"],
        "promise": row["promise"],
        "promise_by": moment(row["promise_by"]),
        "opened_by": row["opened_by"],
        "opened_at": moment(row["opened_at"]),
        "closed_by": row["closed_by"],
        "closed_at": moment(row["closed_at"]),
        "notes": notes_for(tx, caller, job, row["id"]),
    }


def _unquoted(caller: Caller, job: Job, row: Row, told: str | None) -> str | None:
    """What was said of a failure, without the provider's words where what they may quote is closed."""
    if told is None or row["code"] is None or not hidden_from(caller, job):
        return told
    return headline(unquoted(caller, job), None)


def _telling(caller: Caller, job: Job, row: Row) -> bool:
    """Whether this case shows the caller words about somebody else's failure that are closed to others."""
    return row["code"] is not None and tells_quotes(caller, job)


async def read_case(ports: Ports, caller: Caller, case_id: str) -> dict[str, Any]:
    """One case. Whoever reads words that may quote another's gated run is in the audit log. Raises NotFound."""

    def body(tx: Transaction) -> tuple[bool, dict[str, Any]]:
        job, row = found_case(tx, caller, case_id)
        return _telling(caller, job, row), case_view(tx, caller, job, row)

    audited, view = await ports.store.read(body)
    if audited:
        await ports.store.write(lambda tx: note_read(tx, ports, caller, "case.read", case_id, caller.reason))
    return view


async def list_cases(
    ports: Ports, caller: Caller, filters: Mapping[str, str], cursor: str | None, limit: int, *, secret: bytes
) -> dict[str, Any]:
    """A page of cases, the newest first: of every job within the caller's sight. One audit line names the jobs whose
    runs it may quote."""
    before = str(read_cursor(secret, caller, "cases", cursor)[0]) if cursor is not None else None
    sight = within_sight(caller, Search(workspace=caller.workspace))
    whose = None if sight.submitted_by is None else (sight.submitted_by, sight.reviewed_by)

    def body(tx: Transaction) -> tuple[list[dict[str, Any]], list[str], str | None]:
        rows = tx.cases(caller.workspace, filters, whose, before=before, limit=limit + 1)
        last = rows[limit - 1]["id"] if len(rows) > limit else None
        found = [(_job_of(tx, row), row) for row in rows[:limit]]
        told = {job.id for job, row in found if _telling(caller, job, row)}
        return [case_view(tx, caller, job, row) for job, row in found], sorted(told), last

    views, told, last = await ports.store.read(body)
    if told:
        await ports.store.write(
            lambda tx: note_read(tx, ports, caller, "cases.read", caller.workspace, caller.reason, jobs=told)
        )
    following = None if last is None else write_cursor(secret, caller, "cases", [last])
    return {"data": views, "next_cursor": following}


def _job_of(tx: Transaction, row: Row) -> Job:
    job = tx.job(row["job_id"])
    assert job is not None
    return job

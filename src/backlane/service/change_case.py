"""Changing a case: who looks after it, what was promised until when, and whether it is over."""

from dataclasses import dataclass
from typing import Any

from backlane.core.case import CaseState
from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Row, Transaction
from backlane.errors import NotFound
from backlane.service.access import Caller, visible
from backlane.service.annotate import keep_note
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.witness import witness


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """What is to be changed; `given` names the fields that were, so that one can be emptied.

    `promise_by` is milliseconds since 1970 UTC. A note is kept with the case as it is after the change.
    """

    given: frozenset[str]
    owner: str | None = None
    promise: str | None = None
    promise_by: int | None = None
    state: str | None = None
    note: str | None = None
    for_requester: bool = False


def found_case(tx: Transaction, caller: Caller, case_id: str, *, lock: bool = False) -> tuple[Job, Row]:
    """A case whose job is within sight, and that job. Raises NotFound."""
    case = tx.case(case_id)
    if case is None or case["workspace"] != caller.workspace:
        raise NotFound
    job = visible(tx, caller, tx.job(case["job_id"], lock=lock))
    current = tx.case(case_id)
    assert current is not None
    return job, current


async def change_case(ports: Ports, caller: Caller, case_id: str, change: CaseChange) -> None:
    """Change a case. Closing a closed one changes nothing; one is opened again only if the job has no other open.

    Raises NotFound, NotAllowed.
    """

    def body(tx: Transaction) -> None:
        job, case = found_case(tx, caller, case_id, lock=True)
        plain = {
            name: getattr(change, name)
            for name in ("owner", "promise", "promise_by")
            if name in change.given and getattr(change, name) != case[name]
        }
        if plain:
            tx.change_case(case_id, **plain)
            witness(tx, ports, caller, "case.change", case_id, job=job.id, **plain)
        if change.state == CaseState.OPEN and case["state"] == "closed":
            _reopen(tx, ports, caller, job, case)
        if change.note:
            keep_note(tx, ports, caller, job, change.note, for_requester=change.for_requester)
        if change.state == CaseState.CLOSED and case["state"] == "open":
            _close(tx, ports, caller, job, case_id)

    await ports.store.write(body)


def _close(tx: Transaction, ports: Ports, caller: Caller, job: Job, case_id: str) -> None:
    now = ports.clock.now()
    tx.change_case(case_id, state="closed", closed_by=caller.name, closed_at=now)
    _tell(tx, ports, caller, job, case_id, "closed")


def _reopen(tx: Transaction, ports: Ports, caller: Caller, job: Job, case: Row) -> None:
    other = tx.open_case(job.id)
    if other is not None:
        where = f"looked after in {other['id']}"
        raise refusal(tx, ports, caller, job, "reopening this case", where)
    tx.change_case(case["id"], state="open", closed_by=None, closed_at=None)
    tx.mark_job(job, case_id=case["id"])
    _tell(tx, ports, caller, job, case["id"], "open")


def _tell(tx: Transaction, ports: Ports, caller: Caller, job: Job, case_id: str, state: str) -> None:
    data: dict[str, Any] = {"case": case_id, "state": state}
    kind = "case.closed" if state == "closed" else "case.opened"
    tx.keep_events(job.id, [Event(kind, ports.clock.now(), caller.name, data)])
    witness(tx, ports, caller, "case.close" if state == "closed" else "case.open", case_id, job=job.id)

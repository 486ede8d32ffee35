"""Escalating: a review goes to the next in its chain, an ended job becomes a case, anything else is flagged."""

from dataclasses import replace
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job, Phase
from backlane.core.lifecycle import TERMINAL
from backlane.core.review import DECIDING, lesser
from backlane.core.storage import Row, Transaction
from backlane.core.verb import allows
from backlane.errors import InvalidRequest
from backlane.service.access import Caller, visible
from backlane.service.alert import flag_job
from backlane.service.hand_on import handed_to
from backlane.service.open_case import opened
from backlane.service.permit import permit
from backlane.service.ports import Ports
from backlane.service.release import respond_until
from backlane.service.witness import witness


async def escalate(ports: Ports, caller: Caller, job_id: str, reason: str, to: str | None = None) -> None:
    """Hand a job on to whoever can help. `to` is a role for a review, the owner for a case.

    Raises NotFound, RoleRequired, NotAllowed, InvalidRequest for a role that cannot decide, has it already, or is
    less than the one that has it.
    """

    def body(tx: Transaction) -> None:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        permit(tx, ports, caller, job, "escalate")
        if job.status in TERMINAL:
            data = _to_case(tx, ports, caller, job, reason, to)
        else:
            review = tx.open_review(job_id) if allows("approve", job.status, job.phase) else None
            role = None if review is None else _next_role(ports, job, review, to)
            if review is None or role is None:
                data = _flag(tx, ports, caller, job, reason, to)
            else:
                data = _hand_on(tx, ports, caller, job, review=review, role=role, reason=reason)
        witness(tx, ports, caller, "job.escalate", job_id, job=job_id, **data)

    await ports.store.write(body)
    ports.notify()


def _next_role(ports: Ports, job: Job, review: Row, to: str | None) -> str | None:
    """Who is asked next: whom the caller names, else the next in the type's chain, else an admin.

    Never a lesser role than the one that is asked now: the requester may escalate, and would loosen the review.
    """
    has: str = review["role"]
    if to is not None:
        if to not in DECIDING:
            raise InvalidRequest([("/to", f"must be a role that decides: {' or '.join(DECIDING)}")])
        if to == has:
            raise InvalidRequest([("/to", f"the review is with the role {to} already")])
        if lesser(to, has):
            raise InvalidRequest([("/to", f"the review is with the role {has}; {to} is less than that")])
        return to
    job_type = ports.types.get(job.type)
    chain = [*(tuple(job_type.escalation)[review["step"] :] if job_type else ()), "admin"]
    return next((role for role in chain if lesser(has, role)), None)


def _hand_on(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, *, review: Row, role: str, reason: str
) -> dict[str, Any]:
    now = ports.clock.now()
    told = handed_to(tx, ports, job, review, role, actor=caller.name, reason=reason)
    data = {"review": review["id"], "role": role}
    told.append(_escalated(caller, now, reason, data))
    tx.save(job, replace(job, due_at=respond_until(ports.types.get(job.type), job, now)), told)
    return data


def _to_case(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, reason: str, to: str | None
) -> dict[str, Any]:
    """The open case of an ended job, opened if there is none; `to` becomes its owner."""
    case = tx.open_case(job.id)
    if case is None:
        case = opened(tx, ports, job, reason, actor=caller.name, owner=to)
        witness(tx, ports, caller, "case.open", str(case["id"]), job=job.id)
    elif to is not None:
        tx.change_case(case["id"], owner=to)
        witness(tx, ports, caller, "case.change", str(case["id"]), job=job.id, owner=to)
    _keep(tx, ports, caller, job, reason, None)
    data = {"case": case["id"]}
    tx.keep_events(job.id, [_escalated(caller, ports.clock.now(), reason, data)])
    return data


def _flag(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, reason: str, to: str | None
) -> dict[str, Any]:
    """Tell operators; the flag is taken down when the job ends."""
    flag_job(tx, ports, job, reason)
    _keep(tx, ports, caller, job, reason, "operator")
    data = {"role": "operator"} if job.phase is not Phase.BUDGET else {"role": "admin"}
    data |= {"to": to} if to else {}
    tx.keep_events(job.id, [_escalated(caller, ports.clock.now(), reason, data)])
    return data


def _keep(tx: Transaction, ports: Ports, caller: Caller, job: Job, reason: str, role: str | None) -> None:
    row = {
        "id": ports.ids.new("esc"),
        "workspace": job.workspace,
        "job_id": job.id,
        "review_id": None,
        "actor": caller.name,
        "from_role": None,
        "to_role": role,
        "reason": reason,
        "at": ports.clock.now(),
    }
    tx.insert_escalation(row)


def _escalated(caller: Caller, now: int, reason: str, data: dict[str, Any]) -> Event:
    # The words may quote what the gate closes: `why` is not among the keys that stand open.
    return Event("job.escalated", now, caller.name, {**data, "why": reason})

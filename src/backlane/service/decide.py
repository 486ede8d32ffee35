"""A person's decision on a review: bound to the bytes that were shown, made once, written with all it leads to."""

from dataclasses import dataclass, replace
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job, Phase, Status
from backlane.core.lifecycle import TERMINAL
from backlane.core.review import (
    Decision,
    approvals,
    claimed_by_another,
    is_requester,
    may_decide,
)
from backlane.core.storage import Row, Transaction
from backlane.errors import (
    AlreadyDecided,
    Claimed,
    InvalidRequest,
    NotFound,
    Refusal,
    ReviewExpired,
    RoleRequired,
    SeparationOfDuties,
    StalePayload,
)
from backlane.service.access import Caller, visible
from backlane.service.lead_on import is_decided, lead_on
from backlane.service.open_case import follow_up
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.release import require_result
from backlane.service.request_changes import read_changes
from backlane.service.tell_requester import tell_requester


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What a reviewer answers. `payload_hash` names the version that was shown to them.

    `edits` is the whole new value (with approve). `tell_requester` releases the notes with the decision.
    `take_over` decides over another's live claim, for this `reason`.
    """

    decision: str
    payload_hash: str
    notes: str | None = None
    reason_code: str | None = None
    edits: Any = None
    has_edits: bool = False
    take_over: bool = False
    reason: str | None = None
    tell_requester: bool = False


async def decide(ports: Ports, caller: Caller, review_id: str, answer: Decided) -> str:
    """Decide a review; its id. The first of two wins, the other leaves an audit line and nothing else.

    Raises NotFound, RoleRequired, SeparationOfDuties, StalePayload, AlreadyDecided, Claimed, ReviewExpired,
    NotAllowed, InvalidRequest.
    """
    if answer.has_edits and answer.decision != Decision.APPROVE:
        raise InvalidRequest([("/edits", "goes with decision approve, and only with it")])
    if answer.decision == Decision.REQUEST_CHANGES and not (answer.notes or "").strip():
        raise InvalidRequest([("/notes", "must say what to change: the model is given exactly this")])
    try:
        brought = await _brought(ports, caller, review_id, answer)

        def body(tx: Transaction) -> None:
            job, review = permitted(tx, ports, caller, review_id, answer)
            after, told = _carry_out(tx, ports, caller, job, review=review, answer=answer, brought=brought)
            noted = tell_requester(tx, ports, job, review_id)
            events = [*noted, *told]
            if answer.decision == Decision.REQUEST_CHANGES:
                # Up to the events of this decision, these included, all stays closed.
                after = replace(after, sent_back_seq=tx.newest_seqs([job.id])[job.id] + len(events))
            saved = tx.save(job, after, events)
            if saved.status is not job.status:
                follow_up(tx, ports, saved)
            _audit(tx, ports, caller, review, answer, {"job": job.id, "status": saved.status})

        await ports.store.write(body)
    except Refusal as refusal:
        if not isinstance(refusal, NotFound):
            await _audit_refusal(ports, caller, review_id, answer, refusal)
        raise
    ports.point("decided")
    ports.notify()
    return review_id


async def _brought(ports: Ports, caller: Caller, review_id: str, answer: Decided) -> Any:
    """The edited version, validated and stored, or what the model is to be told; nothing is decided yet."""
    changes = answer.decision == Decision.REQUEST_CHANGES
    if not answer.has_edits and not changes:
        return None
    job, review = await ports.store.read(lambda tx: permitted(tx, ports, caller, review_id, answer))
    if changes:
        return await read_changes(ports, review, answer.notes or "")
    return await lead_on(review).edited(ports, job, review, answer.edits)


def found(tx: Transaction, caller: Caller, review_id: str) -> tuple[Job, Row]:
    """A review within sight and its job, locked. Raises NotFound."""
    review = tx.review(review_id)
    if review is None or review["workspace"] != caller.workspace:
        raise NotFound
    job = tx.job(review["job_id"], lock=True)
    assert job is not None
    current = tx.review(review_id)
    assert current is not None
    return visible(tx, caller, job), current


def permitted(
    tx: Transaction, ports: Ports, caller: Caller, review_id: str, answer: Decided
) -> tuple[Job, Row]:
    """The job and review, if this caller may decide it so now; raises what stands in the way."""
    job, review = found(tx, caller, review_id)
    if not is_decided(review):
        raise refusal(tx, ports, caller, job, answer.decision)
    require_decider(caller, job, review)
    now = ports.clock.now()
    if review["state"] != "pending":
        if review["state"] == "expired" and job.status is not Status.CANCELED:
            raise ReviewExpired("This review was closed before anybody decided it.")
        raise AlreadyDecided(f"This review is {review['state']}.")
    if job.status in TERMINAL or job.phase is Phase.CANCELING:
        raise refusal(tx, ports, caller, job, answer.decision)
    if now >= job.useful_until or (review["respond_by"] is not None and now >= review["respond_by"]):
        raise ReviewExpired("The time to decide this review is over.")
    if answer.payload_hash != review["payload_hash"]:
        raise StalePayload("This is not the version that waits for a decision now; look at it again.")
    decided = tx.decisions(review_id)
    if any(row["actor"] == caller.name and row["version"] == review["version"] for row in decided):
        raise AlreadyDecided("You have decided on this version already; one person counts once.")
    holder_passed(review, caller, now, take_over=answer.take_over, reason=answer.reason)
    if answer.decision == Decision.APPROVE and not answer.has_edits:
        require_result(tx, review)
    return job, review


def holder_passed(
    review: Row, caller: Caller, now: int, *, take_over: bool, reason: str | None
) -> str | None:
    """Whose live claim is overridden, if anybody's. Raises Claimed, or InvalidRequest where no reason is given."""
    holder = claimed_by_another(review, caller.name, now)
    if holder is None:
        return None
    if not take_over:
        raise Claimed(f"{holder} is looking at it; take it over with a reason, or wait.")
    if not (reason or "").strip():
        raise InvalidRequest([("/reason", f"is required to take over the claim of {holder}")])
    return holder


def require_decider(caller: Caller, job: Job, review: Row) -> None:
    """Raises RoleRequired or SeparationOfDuties unless this caller may decide this review."""
    if not may_decide(review, caller.role):
        raise RoleRequired(f"This review is decided by the role {review['role']}; yours is {caller.role}.")
    if caller.kind == "service" and not caller.may_decide:
        raise RoleRequired("A service decides no reviews unless an admin allows it.")
    if review["separate"] and is_requester(job.submitted_by, job.user, caller.name):
        raise SeparationOfDuties("The person who asked for this job cannot decide its review.")


def _carry_out(
    tx: Transaction,
    ports: Ports,
    caller: Caller,
    job: Job,
    *,
    review: Row,
    answer: Decided,
    brought: Any,
) -> tuple[Job, list[Event]]:
    now = ports.clock.now()
    told: list[Event] = []
    leads, holder = lead_on(review), claimed_by_another(review, caller.name, now)
    if answer.has_edits:
        review, told = leads.keep_edit(tx, ports, caller, job, review, brought)
    _keep(tx, ports, caller, review, answer)
    data = {
        "review": review["id"],
        "kind": review["kind"],
        "decision": answer.decision,
        "edited": answer.has_edits,
        "payload_hash": review["payload_hash"],
        "revision": review["version"],
    }
    data |= {"taken_from": holder} if holder else {}
    told.append(Event("review.decided", now, caller.name, data))
    if answer.decision == Decision.REJECT:
        tx.close_review(review["id"], "rejected", now)
        after, more = leads.reject(tx, ports, caller, job, review, now)
        return after, [*told, *more]
    if answer.decision == Decision.REQUEST_CHANGES:
        # While it is open still: a refusal lists what else may be decided.
        after, more = leads.change(tx, ports, caller, job, review, brought)
        tx.close_review(review["id"], "changes_requested", now)
        return after, [*told, *more]
    if len(approvals(tx.decisions(review["id"]), review["version"])) < review["quorum"]:
        return replace(job, due_at=review["respond_by"] or job.useful_until), told
    tx.close_review(review["id"], "approved", now)
    after, more = leads.approve(tx, ports, caller, replace(job, review_state="approved"), review, now)
    return after, [*told, *more]


def _keep(tx: Transaction, ports: Ports, caller: Caller, review: Row, answer: Decided) -> None:
    row = {
        "id": ports.ids.new("dec"),
        "workspace": caller.workspace,
        "job_id": review["job_id"],
        "review_id": review["id"],
        "version": review["version"],
        "payload_hash": review["payload_hash"],
        "decision": answer.decision,
        "actor": caller.name,
        "role": caller.role,
        "reason_code": answer.reason_code,
        "notes": answer.notes,
        "for_requester": answer.tell_requester,
        "edited": answer.has_edits,
        "at": ports.clock.now(),
    }
    tx.insert_decision(row)


def _audit(
    tx: Transaction, ports: Ports, caller: Caller, review: Row, answer: Decided, more: dict[str, Any]
) -> None:
    data = {
        "role": caller.role,
        "key": caller.key_id,
        "payload_hash": answer.payload_hash,
        "decision": answer.decision,
        "reason_code": answer.reason_code,
        "edited": answer.has_edits,
        **more,
    }
    holder = claimed_by_another(review, caller.name, ports.clock.now())
    data |= {"taken_from": holder, "reason": answer.reason} if holder else {}
    line = {"workspace": caller.workspace, "at": ports.clock.now(), "actor": caller.name}
    tx.audit({**line, "action": "review.decided", "subject": review["id"], "data": data})


async def _audit_refusal(
    ports: Ports, caller: Caller, review_id: str, answer: Decided, refusal: Refusal
) -> None:
    data = {"role": caller.role, "key": caller.key_id, "decision": answer.decision, "code": refusal.code}

    def body(tx: Transaction) -> None:
        line = {"workspace": caller.workspace, "at": ports.clock.now(), "actor": caller.name}
        tx.audit({**line, "action": "review.refused", "subject": review_id[:200], "data": data})

    await ports.store.write(body)

"""Claims: a courtesy between reviewers, a quarter of an hour long. Deciding without one is allowed."""

from backlane.core.event import Event
from backlane.core.review import CLAIM_LASTS, RESOLVED_ONLY
from backlane.core.storage import Transaction
from backlane.errors import AlreadyDecided, InvalidRequest
from backlane.service.access import Caller
from backlane.service.decide import found, holder_passed, require_decider
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.witness import witness


async def claim(
    ports: Ports, caller: Caller, review_id: str, *, take_over: bool = False, reason: str | None = None
) -> None:
    """Say that one is looking at a review; another's live claim is overridden only with a reason.

    Raises NotFound, RoleRequired, SeparationOfDuties, Claimed, AlreadyDecided, NotAllowed, InvalidRequest.
    """
    if take_over and not (reason or "").strip():
        raise InvalidRequest([("/reason", "is required to take a claim over")])

    def body(tx: Transaction) -> None:
        job, review = found(tx, caller, review_id)
        if review["kind"] in RESOLVED_ONLY:
            raise refusal(tx, ports, caller, job, "claim")
        require_decider(caller, job, review)
        now = ports.clock.now()
        holder = holder_passed(review, caller, now, take_over=take_over, reason=reason)
        until = now + CLAIM_LASTS
        if not tx.change_review(review_id, claimed_by=caller.name, claimed_until=until):
            raise AlreadyDecided(f"This review is {review['state']}.")
        data = {"review": review_id, "kind": review["kind"], "until": until}
        if holder is not None:
            data |= {"taken_from": holder, "why": (reason or "")[:500]}
        tx.keep_events(job.id, [Event("review.claimed", now, caller.name, data)])
        taken = {"taken_from": holder, "reason": reason} if holder else {}
        witness(tx, ports, caller, "review.claimed", review_id, job=job.id, **taken)

    await ports.store.write(body)


async def release_claim(ports: Ports, caller: Caller, review_id: str) -> None:
    """Give one's own claim back; without one nothing changes. Raises NotFound, RoleRequired."""

    def body(tx: Transaction) -> None:
        job, review = found(tx, caller, review_id)
        require_decider(caller, job, review)
        if review["claimed_by"] == caller.name:
            tx.change_review(review_id, claimed_by=None, claimed_until=None)

    await ports.store.write(body)

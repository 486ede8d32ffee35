"""Reviews that nobody decided in time: handed on along the chain, then ended. Silence never approves."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.review import no_lesser
from backlane.core.storage import Row, Transaction
from backlane.service.conclude import conclude
from backlane.service.fail import fail
from backlane.service.ports import Ports
from backlane.service.release import close_open_review, respond_until
from backlane.service.situate import Held

NOBODY = "nobody answered in time"


async def hand_on(ports: Ports, held: Held) -> Held | None:
    """Ask the next in the chain, with a new time to respond; without a next one the job ends failed."""
    now = ports.clock.now()

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        review = tx.open_review(job.id)
        if review is None or review["respond_by"] is None or now < review["respond_by"]:
            return replace(job, due_at=job.useful_until), ()
        chain: tuple[str, ...] = tuple(held.type.escalation) if held.type else ()
        step: int = review["step"]
        if step < len(chain):
            # A policy may have asked for more than the type's chain begins with.
            role = no_lesser(chain[step], review["role"])
            told = handed_to(tx, ports, job, review, role, actor="backlane", reason=NOBODY)
            return replace(job, due_at=respond_until(held.type, job, now)), told
        job, told = close_open_review(tx, job, now, "expired")
        after, event = fail(job, now, "review_expired")
        return after, [event, *told]

    return await conclude(ports, held, turn)


def handed_to(
    tx: Transaction, ports: Ports, job: Job, review: Row, role: str, *, actor: str, reason: str
) -> list[Event]:
    """Hand an open review on to a role: a new time to respond, no claim, one line that says who and why."""
    now = ports.clock.now()
    job_type = ports.types.get(job.type)
    respond_by = respond_until(job_type, job, now)
    tx.change_review(
        review["id"],
        role=role,
        step=review["step"] + 1,
        respond_by=respond_by,
        claimed_by=None,
        claimed_until=None,
    )
    row = {
        "id": ports.ids.new("esc"),
        "workspace": job.workspace,
        "job_id": job.id,
        "review_id": review["id"],
        "actor": actor,
        "from_role": review["role"],
        "to_role": role,
        "reason": reason[:2000],
        "at": now,
    }
    tx.insert_escalation(row)
    data = {"review": review["id"], "kind": review["kind"], "role": role, "until": respond_by}
    return [Event("review.escalated", now, actor, data)]

"""Whether a caller may use a verb on a job now: the lifecycle table's answer, for this person, and one refusal."""

from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.action import Action, effect_in_doubt
from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.core.verb import VERBS, allowed, open_to
from backlane.errors import NotAllowed, RoleRequired
from backlane.service.access import Caller, relation
from backlane.service.ports import Ports


def allowed_by(
    ports: Ports, caller: Caller, job: Job, review: Mapping[str, Any] | None, actions: Sequence[Action]
) -> list[str]:
    """The verbs this caller may use on this job now, given its newest review and its actions."""
    job_type = ports.types.get(job.type)
    may_cancel = job_type.who_may_cancel if job_type else "requester"
    return allowed(job, relation(caller, job, review), may_cancel, in_doubt=effect_in_doubt(actions))


def allowed_now(tx: Transaction, ports: Ports, caller: Caller, job: Job) -> list[str]:
    """The same, with its review and actions read."""
    review = next(iter(reversed(tx.reviews_of([job.id])[job.id])), None)
    return allowed_by(ports, caller, job, review, tx.actions(job.id))


def permit(tx: Transaction, ports: Ports, caller: Caller, job: Job, verb: str) -> None:
    """Raises RoleRequired where the verb is others' to use, NotAllowed where the job's status forbids it."""
    if verb in allowed_now(tx, ports, caller, job):
        return
    acting = verb == "cancel" and effect_in_doubt(tx.actions(job.id))
    stands = open_to(verb, job) and not acting
    if stands or not VERBS[verb].who & relation(caller, job):
        raise RoleRequired(f"Your role may not {verb} this job.")
    raise refusal(tx, ports, caller, job, verb, "acting on the outside world" if acting else None)


def refusal(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, verb: str, where: str | None = None
) -> NotAllowed:
    """A 409 with the verbs that are allowed, as the job itself lists them; `where` says more than its status."""
    status = job.status if job.phase is None else f"{job.status}/{job.phase}"
    may = [one for one in allowed_now(tx, ports, caller, job) if one != verb]
    return NotAllowed(where or status, verb, may)

"""Whether a caller may use a verb on a job now: the lifecycle table's answer, for this person."""

from backlane.core.job import Job
from backlane.core.verb import VERBS, allowed, open_to
from backlane.errors import NotAllowed, RoleRequired
from backlane.service.access import Caller, relation
from backlane.service.ports import Ports


def permit(ports: Ports, caller: Caller, job: Job, verb: str) -> None:
    """Raises RoleRequired where the verb is others' to use, NotAllowed where the job's status forbids it."""
    job_type = ports.types.get(job.type)
    related = relation(caller, job)
    may = allowed(job, related, job_type.who_may_cancel if job_type else "requester")
    if verb in may:
        return
    if open_to(verb, job) or not VERBS[verb].who & related:
        raise RoleRequired(f"Your role may not {verb} this job.")
    where = job.status if job.phase is None else f"{job.status}/{job.phase}"
    raise NotAllowed(where, verb, may)

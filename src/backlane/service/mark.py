"""Marks beside a job's status: archived, and held for legal reasons. They change nothing else about the job."""

from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.core.verb import VERBS
from backlane.service.access import Caller, relation, visible
from backlane.service.permit import permit
from backlane.service.ports import Ports
from backlane.service.witness import witness


async def archive(ports: Ports, caller: Caller, job_id: str, reason: str | None = None) -> None:
    """Hide an ended job from default lists. Asking twice is asking once. Raises NotFound, RoleRequired, NotAllowed."""
    now = ports.clock.now()
    await _mark(ports, caller, job_id, "archive", "job.archived", reason=reason, archived_at=now)


async def unarchive(ports: Ports, caller: Caller, job_id: str, reason: str | None = None) -> None:
    """Show an archived job in default lists again. Raises NotFound, RoleRequired, NotAllowed."""
    await _mark(ports, caller, job_id, "unarchive", "job.unarchived", reason=reason, archived_at=None)


async def hold(ports: Ports, caller: Caller, job_id: str, reason: str | None = None) -> None:
    """Put a legal hold on a job: retention waits. Raises NotFound, RoleRequired, NotAllowed."""
    await _mark(ports, caller, job_id, "hold", "job.held", reason=reason, held=True)


async def unhold(ports: Ports, caller: Caller, job_id: str, reason: str | None = None) -> None:
    """Lift a legal hold; the verb is called release. Raises NotFound, RoleRequired, NotAllowed."""
    await _mark(ports, caller, job_id, "release", "job.unheld", reason=reason, held=False)


async def _mark(
    ports: Ports, caller: Caller, job_id: str, verb: str, told: str, *, reason: str | None, **marks: Any
) -> None:
    def body(tx: Transaction) -> None:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        if _so_already(job, marks) and VERBS[verb].who & relation(caller, job):
            return
        permit(tx, ports, caller, job, verb)
        tx.mark_job(job, **marks)
        data = {"why": reason[:2000]} if reason else {}
        tx.keep_events(job_id, [Event(told, ports.clock.now(), caller.name, data)])
        if told == "job.unheld" and job.finished_at is not None and ports.delete_at_provider:
            # A worker deletes now what the hold kept at the provider.
            tx.wake(job_id, ports.clock.now())
        witness(tx, ports, caller, f"job.{verb}", job_id, job=job_id)

    await ports.store.write(body)
    ports.notify()


def _so_already(job: Job, marks: dict[str, Any]) -> bool:
    """Whether the job stands as asked. An open job is not archived, so unarchiving one is refused by its status."""
    if "held" in marks:
        return job.held is marks["held"]
    return job.finished_at is not None and (job.archived_at is None) is (marks["archived_at"] is None)

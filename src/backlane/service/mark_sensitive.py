"""A person says that a job is sensitive: from that event on what it writes is behind a gate. It is never unsaid."""

import json
from typing import Any

from backlane.core.authority import stricter
from backlane.core.event import Event
from backlane.core.job import Gate, Job
from backlane.core.lifecycle import TERMINAL
from backlane.core.ports import JobType
from backlane.core.storage import Transaction
from backlane.errors import InvalidRequest, RoleRequired
from backlane.service.access import Caller, draw_unsaid, relation, visible
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.witness import witness

# In place of a summary that may quote what is sensitive, where nothing can say its sizes.
MASKED = "sensitive"


async def mark_sensitive(ports: Ports, caller: Caller, job_id: str, reason: str | None = None) -> None:
    """Mark an open job. Asking twice is asking once. Raises NotFound, RoleRequired, NotAllowed.

    What was told before stays as it was told; from the event on it is masked for whom the gate is closed.
    """
    # What a job was made with never changes, so that it can be read, and measured, before the transaction.
    summary = await _summary(ports, caller, job_id)

    def body(tx: Transaction) -> None:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        if not {"requester", "operator"} & relation(caller, job):
            raise RoleRequired("Only who submitted a job, or an operator, may mark it sensitive.")
        if job.sensitive is not None and job.gate is not Gate.NONE:
            return
        if job.status in TERMINAL:
            raise refusal(tx, ports, caller, job, "sensitive")
        data: dict[str, Any] = {"why": reason[:2000]} if reason else {}
        seq, _ = tx.chain_head(job_id)
        gate = stricter(job.gate, Gate.SENSITIVE)
        marks: dict[str, Any] = {"gate": str(gate), "sensitive": "person", "summary": summary}
        if job.gate is Gate.NONE and not draw_unsaid(job):
            marks["closed_from"] = (seq or 0) + 1
        if job.review_state == "sampled_out":
            marks["review_state"] = "not_required"
        tx.mark_job(job, **marks)
        tx.keep_events(job_id, [Event("job.tightened", ports.clock.now(), caller.name, data)])
        witness(tx, ports, caller, "job.sensitive", job_id, job=job_id)

    await ports.store.write(body)


async def _summary(ports: Ports, caller: Caller, job_id: str) -> str:
    """What may be told of the inputs from now on."""

    def read(tx: Transaction) -> tuple[Job, str]:
        job = visible(tx, caller, tx.job(job_id))
        return job, tx.inputs(job_id)

    job, raw = await ports.store.read(read)
    return masked_summary(ports.types.get(job.type), raw)


def masked_summary(job_type: JobType | None, raw: str) -> str:
    """Names, counts and sizes of stored inputs, never text."""
    if job_type is None:
        return MASKED
    try:
        return job_type.summarize(job_type.read_inputs(json.loads(raw)), sensitive=True)
    except InvalidRequest:
        return MASKED

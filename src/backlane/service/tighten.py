"""A gate that is closed while a job runs: what was told before stays told, what comes after is closed."""

from dataclasses import replace

from backlane.core.authority import stricter
from backlane.core.job import Gate, Job
from backlane.core.storage import Transaction
from backlane.service.access import draw_unsaid


def tighten(tx: Transaction, job: Job, gate: Gate) -> Job:
    """The job behind a gate that is at least this one; never a looser one."""
    closed = stricter(job.gate, gate)
    # What a spared job wrote was told to nobody outside, so nothing has to stay told.
    if job.gate is not Gate.NONE or closed is Gate.NONE or draw_unsaid(job):
        return replace(job, gate=closed)
    seq, _ = tx.chain_head(job.id)
    return replace(job, gate=closed, closed_from=(seq or 0) + 1)

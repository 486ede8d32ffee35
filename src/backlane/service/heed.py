"""Noticing, beside a job's long work, that nobody wants it any more; it only looks, and changes nothing."""

from backlane.core.job import Phase
from backlane.core.lifecycle import TERMINAL
from backlane.errors import StoreError
from backlane.service.ports import Ports

# A cancel is noticed at most so late, milliseconds.
_EVERY = 500


async def unwanted(ports: Ports, job_id: str) -> None:
    """Return once the job has ended or is being stopped, whoever did that and in which process."""
    while True:
        await ports.clock.sleep(_EVERY)
        try:
            job = await ports.store.read(lambda tx: tx.job(job_id))
        except StoreError:
            continue
        if job is None or job.status in TERMINAL or job.phase is Phase.CANCELING:
            return

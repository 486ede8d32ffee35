"""The opaque word by which related runs of a window are kept together in the provider's queue."""

import hashlib

from backlane.core.job import Job
from backlane.core.ports import JobType


def continuation_of(job: Job, job_type: JobType | None) -> str | None:
    """The word for this job, by what its type declares; it tells nobody the type's or the account's name.

    A type that keeps its accounts' runs together has none for a job without an account.
    """
    kind = job_type.continuation if job_type is not None else None
    name = job.account if kind == "account" else job.type
    if job.window == "soonest" or kind is None or name is None:
        return None
    return hashlib.sha256(f"{job.workspace}\n{kind}\n{name}".encode()).hexdigest()[:32]

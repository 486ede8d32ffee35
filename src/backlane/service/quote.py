"""The provider's words about a failure, which may quote what a run wrote or was given: who is told them."""

from collections.abc import Mapping
from typing import Any

from backlane.core.failure import meaning
from backlane.core.job import Job
from backlane.service.access import Caller, closed_for, gated, hidden_from, lacks_reason, owns
from backlane.service.describe import without_quotes


def unquoted(caller: Caller, job: Job) -> Job:
    """The job with as much of its failure's words as this caller may read."""
    if closed_for(caller, job):
        return without_quotes(job)
    # Support reads what was sent in only with a reason, too: a request that was refused may be quoted.
    return without_quotes(job, inputs=True) if hidden_from(caller, job) else job


def tells_quotes(caller: Caller, job: Job) -> bool:
    """Whether this caller is told words that the release gate, or the want of a reason, closes to others."""
    if owns(caller, job) or not (gated(job) or lacks_reason(caller, job.submitted_by)):
        return False
    plain = without_quotes(job, inputs=lacks_reason(caller, job.submitted_by))
    return unquoted(caller, job).failure != plain.failure


def may_quote(view: Mapping[str, Any]) -> bool:
    """Whether a Job, as it is shown, says more of its failure than its code means."""
    failure = view["failure"]
    return failure is not None and failure["message"] != meaning(failure["code"]).sentence

"""Learning from each good end how long runs of its kind take, for the first look and an honest estimate."""

from backlane.core.duration import Usual, usual, with_end
from backlane.core.job import Attempt, AttemptState, Job
from backlane.core.lane import kind_of
from backlane.core.storage import Transaction


def learn(tx: Transaction, job: Job, attempt: Attempt, now: int) -> None:
    """Add a run that has just been seen completed; it ended somewhere between the last two looks."""
    if attempt.accepted_at is None:
        return
    before = max(attempt.looked_at or 0, attempt.accepted_at)
    duration = (before + now) // 2 - attempt.accepted_at
    kind = (job.workspace, job.type, attempt.model or "", kind_of(attempt.lane, attempt.window))
    sample = tx.durations(*kind)
    tx.keep_durations(*kind, sample=with_end(sample, duration), now=now)


def usual_for(tx: Transaction, job: Job, attempt: Attempt | None) -> Usual | None:
    """What is known of runs like this one, while it is out."""
    if attempt is None or attempt.state not in (AttemptState.SENDING, AttemptState.ACCEPTED):
        return None
    kind = kind_of(attempt.lane, attempt.window)
    return usual(tx.durations(job.workspace, job.type, attempt.model or "", kind))

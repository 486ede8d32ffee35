"""Learning from each good end how long runs of its kind take, for the first look and an honest estimate."""

from collections.abc import Sequence

from backlane.core.duration import Usual, usual, with_end
from backlane.core.job import Attempt, AttemptState, Job
from backlane.core.lane import kind_of
from backlane.core.schedule import MINUTE
from backlane.core.storage import Transaction

# An account whose newest event is older is not counted on any more.
HINTED_FOR = 15 * MINUTE


def learn(tx: Transaction, job: Job, attempt: Attempt, now: int) -> None:
    """Add a run that has just been seen completed; it ended somewhere between the last two looks."""
    # A run that was found later has no beginning that we know.
    if attempt.accepted_at is None or attempt.stray:
        return
    before = max(attempt.looked_at or 0, attempt.accepted_at)
    heard = tx.heard_of(attempt.provider_account, attempt.provider_response_id or "")
    if heard is not None:
        # It ended just before that was told, not halfway between two looks far apart.
        before = max(before, min(heard, now))
    duration = (before + now) // 2 - attempt.accepted_at
    kind = (job.workspace, job.type, attempt.model or "", kind_of(attempt.lane, attempt.window))
    sample = tx.durations(*kind)
    tx.keep_durations(*kind, sample=with_end(sample, duration), now=now)


def hinted_for(tx: Transaction, attempt: Attempt | None, now: int) -> bool:
    """Whether the provider's events about our runs reach us lately, so that this run's end will be told."""
    if attempt is None or attempt.state not in (AttemptState.SENDING, AttemptState.ACCEPTED):
        return False
    newest = tx.newest_notice(attempt.provider_account, now - HINTED_FOR)
    return newest is not None and newest - now <= HINTED_FOR


def told_ends(tx: Transaction, attempts: Sequence[Attempt]) -> dict[str, int]:
    """When an event last said of a run that is out that it has ended, by attempt."""
    out = [one for one in attempts if one.state is AttemptState.ACCEPTED]
    told = {one.id: tx.told_of(one.provider_account, one.provider_response_id or "") for one in out}
    return {name: at for name, at in told.items() if at is not None}


def usual_for(tx: Transaction, job: Job, attempt: Attempt | None) -> Usual | None:
    """What is known of runs like this one, while it is out."""
    if attempt is None or attempt.state not in (AttemptState.SENDING, AttemptState.ACCEPTED):
        return None
    kind = kind_of(attempt.lane, attempt.window)
    return usual(tx.durations(job.workspace, job.type, attempt.model or "", kind))

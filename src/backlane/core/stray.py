"""Runs that nobody waits for any more: canceled, and followed for what they cost. Pure."""

from backlane.core.job import Attempt, AttemptState
from backlane.core.schedule import Timings
from backlane.core.situation import CancelRun, Look, Situation, Step, Wait


def stray_step(situation: Situation, now: int) -> Step | None:
    """Older runs found after the job had moved on are canceled and followed for their cost."""
    soonest: int | None = None
    for attempt in situation.strays:
        step = followed(attempt, situation.timings, now)
        if not isinstance(step, Wait):
            return step
        soonest = step.until if soonest is None else min(soonest, step.until or soonest)
    return None if soonest is None else Wait(soonest)


def is_followed(attempt: Attempt) -> bool:
    """Whether a run goes on being looked at for its cost, whatever became of its job."""
    late = attempt.state is AttemptState.CANCELED and attempt.look_at is not None
    return late or attempt.state is AttemptState.ACCEPTED


def followed(attempt: Attempt, timings: Timings, now: int) -> CancelRun | Look | Wait:
    """Stop a run nobody waits for any more; one that is stopped is looked at once more."""
    if not is_followed(attempt) or _given_up(attempt, timings, now):
        return Wait(None)
    if now < (attempt.look_at or 0):
        return Wait(attempt.look_at)
    return CancelRun(attempt) if attempt.state is AttemptState.ACCEPTED else Look(attempt)


def _given_up(attempt: Attempt, timings: Timings, now: int) -> bool:
    return now - (attempt.accepted_at or attempt.planned_at) > timings.follow_at_most

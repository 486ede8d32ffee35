"""Refusals of those who decide on, or wait for, what a run left."""

from backlane.errors.refusals import Refusal


class SeparationOfDuties(Refusal):
    """The person who asked for a job cannot decide its review."""

    code = "separation-of-duties"
    title = "Somebody else must decide this"
    hint = "Ask another person with the review's role."


class StalePayload(Refusal):
    """The decision names another version than the one that waits."""

    code = "stale-payload"
    title = "That version is not the current one"
    hint = "Read the review again and decide on its payload_hash."


class AlreadyDecided(Refusal):
    """The review has its outcome, or this person has decided on this version."""

    code = "already-decided"
    title = "Already decided"
    hint = "Read the review; a decision is made once."


class Claimed(Refusal):
    """Another reviewer has claimed the review and their time is not over."""

    code = "claimed"
    title = "Somebody else is looking at it"
    hint = "Wait, or decide with take_over and a reason."


class ReviewExpired(Refusal):
    """Nobody decided the review in time."""

    code = "review-expired"
    title = "The review expired"
    hint = "Retry the job for a new review."


class AwaitingReview(Refusal):
    """The content is closed until the job's review is decided."""

    code = "awaiting-review"
    title = "Being reviewed"
    hint = "Wait for the review's decision."


class NotReleased(Refusal):
    """The job ended unreleased, so its content stays closed."""

    code = "not-released"
    title = "Not released"
    hint = "This content was never released; retry the job or ask the reviewer."

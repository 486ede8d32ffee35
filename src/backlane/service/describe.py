"""A job in its users' words: headline, what it waits for, what to do next. Pure; no model text goes in."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from backlane.core.action import SENT_BACK
from backlane.core.budget import period_end
from backlane.core.failure import meaning
from backlane.core.health import TROUBLE
from backlane.core.job import RESTORED, STREAM_LOST, Attempt, Job, Phase, Status
from backlane.core.lane import window_of
from backlane.core.storage import Row


def moment(at: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 UTC."""
    if at is None:
        return None
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_HEADLINES: dict[tuple[Status, Phase | None], str] = {
    (Status.QUEUED, Phase.READY): "Waiting to start",
    (Status.QUEUED, Phase.PROVIDER): "Sent, waiting for the provider to start",
    (Status.QUEUED, Phase.BATCH): "Waiting in a batch",
    (Status.QUEUED, Phase.RETRY): "Waiting to try again",
    (Status.QUEUED, Phase.BUDGET): "Waiting for budget",
    (Status.QUEUED, Phase.CAPACITY): "Waiting for capacity",
    (Status.QUEUED, Phase.INCIDENT): "Waiting until an incident is mended",
    (Status.RUNNING, Phase.MODEL): "The model is working",
    (Status.RUNNING, Phase.TOOL): "A tool is running",
    (Status.RUNNING, Phase.CHECK): "The answer is being checked",
    (Status.RUNNING, Phase.ACTION): "An approved action is being carried out",
    (Status.NEEDS_REVIEW, Phase.OUTPUT): "Ready for review",
    (Status.NEEDS_REVIEW, Phase.SENSITIVE): "Ready for review",
    (Status.NEEDS_REVIEW, Phase.SAMPLED): "Ready for review",
    (Status.NEEDS_REVIEW, Phase.ACTION): "An action needs approval",
    (Status.NEEDS_REVIEW, Phase.EFFECT_UNKNOWN): "Nobody knows whether the action took effect",
    (Status.NEEDS_REVIEW, Phase.SUBMISSION_UNKNOWN): "Nobody knows whether the provider took the request",
    (Status.NEEDS_REVIEW, Phase.BUDGET): "The budget must be lifted",
    (Status.COMPLETED, None): "Completed",
    (Status.CANCELED, None): "Canceled",
    (Status.EXPIRED, None): "Expired: its useful window passed",
    (Status.FAILED, None): "Failed",
}


# What is known of a run although nobody knows how it ended, by its attempt's code.
_IN_DOUBT = {
    STREAM_LOST: "The provider took the request; its stream was lost, and nobody knows how the run ended",
    RESTORED: "A backup was put in place: nobody knows what was bought since it was made",
}


def headline(job: Job, attempt: Attempt | None, *, late: bool = False) -> str:
    """One line that says where the job is and what is known of it.

    `attempt` is its newest one; `late`: its run's completion window has passed.
    """
    if late and job.phase in (Phase.PROVIDER, Phase.MODEL):
        told = _HEADLINES[(job.status, job.phase)]
        return f"{told}, later than its {job.window} window"
    if job.phase is Phase.CANCELING:
        return "Being canceled" if job.ends_as != "expired" else "Expiring: being stopped at the provider"
    if job.status is Status.FAILED and job.failure:
        return f"Failed: {job.failure['message']}"
    if job.phase is Phase.SUBMISSION_UNKNOWN and attempt is not None and attempt.code in _IN_DOUBT:
        return _IN_DOUBT[attempt.code]
    if job.review_state == SENT_BACK and job.status in (Status.QUEUED, Status.RUNNING):
        return f"A reviewer asked for changes. {_HEADLINES[(job.status, job.phase)]}"
    return _HEADLINES[(job.status, job.phase)]


def without_quotes(job: Job, *, inputs: bool = False) -> Job:
    """The job whose failure says no more than its code does: the provider's words may quote what its run wrote.

    Those about a request that never ran may quote what was sent in: they stay, unless `inputs` are closed too, or what
    an earlier job wrote was sent along.
    """
    foreign = job.provider_response_id is not None or job.retry_of is not None or job.continues is not None
    if job.failure is None or not (foreign or inputs):
        return job
    return replace(job, failure={**job.failure, "message": meaning(job.failure["code"]).sentence})


def window_target(attempt: Attempt | None) -> int | None:
    """By when the provider means to end a run, where that has a completion window."""
    if attempt is None or attempt.accepted_at is None:
        return None
    length = window_of(attempt.window)
    return None if length is None else attempt.accepted_at + length


def waiting_on(
    job: Job,
    review: dict[str, Any] | None,
    *,
    target: int | None = None,
    late: bool = False,
    hold: Row | None = None,
) -> str | None:
    """Whom or what an open job waits for, and until when; None for one that has ended.

    `target` is by when the provider means to end a run with a completion window, `late` that this has
    passed, `hold` the incident that holds the job's lane, or the budget that has no room for its run.
    """
    if job.phase is None:
        return None
    if target is not None and job.phase in (Phase.PROVIDER, Phase.MODEL):
        passed = f"its {job.window} target of {moment(target)} has passed; the run goes on"
        return (
            f"the provider: {passed}" if late else f"the provider, which means to be done by {moment(target)}"
        )
    if job.phase in _WAITS:
        return _WAITS[job.phase]
    until = moment(job.wait_until)
    if job.phase is Phase.ACTION and job.status is Status.RUNNING:
        return "an approved action: its undo delay, or the outside world"
    if job.status is Status.NEEDS_REVIEW:
        respond_by = moment(review["respond_by"]) if review else None
        return f"a {review['role'] if review else 'reviewer'}, until {respond_by or moment(job.useful_until)}"
    if job.phase is Phase.RETRY:
        return f"the next try, at {until}"
    if job.phase is Phase.INCIDENT:
        return _incident(job, hold)
    if job.phase is Phase.BUDGET:
        return _budget(job, hold)
    if job.phase is Phase.CAPACITY:
        return f"room under the provider's rate limit, until {until}"
    return f"its start, not before {until}" if until else "a worker"


def _incident(job: Job, hold: Row | None) -> str:
    until = moment(job.wait_until)
    if hold is None:
        return f"an incident to be mended; next try at {until}" if until else "an incident to be mended"
    since = moment(hold["since"])
    if hold["held_by"] is not None:
        return f"an operator, who holds the lane since {since}: {hold['message']}"
    told = _INCIDENTS.get(hold["code"], "an incident to be mended")
    return f"{told} ({hold['code']}) since {since}; next try at {moment(hold['probe_at'])}"


def _budget(job: Job, full: Row | None) -> str:
    if full is None:
        return f"budget; next look at {moment(job.wait_until)}"
    whose = {"workspace": "the workspace's", "account": "its account's", "type": "its job type's"}
    each = {"day": "daily budget", "month": "monthly budget", "total": "budget"}
    told = f"{whose[full['scope']]} {each[full['period']]}, to be raised or to have room for its run"
    # It looks again as the period ends at the latest: a moment before, that is still to come.
    end = period_end(full["period"], (job.wait_until or job.phase_since) - 1)
    return told if end is None else f"{told}; it begins anew at {moment(end)}"


_INCIDENTS = {
    TROUBLE: "an incident at the provider: too many calls failed; jobs keep their place",
    "account_retired": "an incident: the provider account is retired and no other takes its place",
    "no_provider_key": "an incident: the provider account is not in the settings",
}
_WAITS = {
    Phase.CANCELING: "the provider, to confirm the stop",
    Phase.SUBMISSION_UNKNOWN: "an operator, to resolve it",
    Phase.EFFECT_UNKNOWN: "an operator, to resolve it",
    Phase.PROVIDER: "the provider",
    Phase.MODEL: "the provider",
    Phase.BATCH: "the provider",
    Phase.CHECK: "the job type's checks",
    Phase.TOOL: "a tool",
}


# What does not bring a job any further.
_ASIDE = frozenset({"archive", "unarchive", "hold", "release"})


def _next_steps(job: Job, allowed: Sequence[str]) -> list[str]:
    if job.failure is not None:
        return list(job.failure["next_steps"])
    further = [verb for verb in allowed if verb not in _ASIDE]
    if job.phase is Phase.EFFECT_UNKNOWN:
        return ["find out whether it happened, then resolve the action", *further]
    return further


def outcome(
    job: Job,
    attempt: Attempt | None,
    *,
    cost: str | None,
    partial: bool,
    allowed: Sequence[str],
    review: dict[str, Any] | None,
    sent: bool,
    late: bool = False,
) -> dict[str, Any]:
    """The outcome card: the four answers and what now. `sent`: something may have left for the outside world."""
    failure = job.failure or {}
    waits_for_person = job.status is Status.NEEDS_REVIEW
    retryable = bool(failure.get("retryable", job.status in (Status.CANCELED, Status.EXPIRED)))
    return {
        "headline": headline(job, attempt, late=late),
        "cause": failure.get("cause"),
        "retryable": retryable,
        "partial_output": partial,
        "human_needed": waits_for_person or bool(failure.get("human_needed", False)),
        "who": review["role"] if review and waits_for_person else None,
        "cost": cost,
        "anything_sent": sent,
        "next_steps": _next_steps(job, allowed),
    }

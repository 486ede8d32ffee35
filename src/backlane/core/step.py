"""What to do next with a job. Pure: a situation and a time in, one step out; it never does anything."""

from backlane.core.act import decide_action, decide_carried, decide_effect, out_with_a_run
from backlane.core.action import ActionState, carried, counted
from backlane.core.job import RESTORED, STEERED, Attempt, AttemptReason, AttemptState, Job, Phase, Status
from backlane.core.lifecycle import TERMINAL
from backlane.core.situation import (
    Adopt,
    AskPerson,
    BeginExpiry,
    CancelRun,
    Check,
    End,
    Fail,
    Finish,
    Follow,
    HandOn,
    Look,
    MarkUnknown,
    Plan,
    Propose,
    Recover,
    RunTools,
    Send,
    Settle,
    Situation,
    Steer,
    Step,
    Wait,
)
from backlane.core.stray import followed, stray_step

# Where a job is whose newest run nobody knows of: sent, or, lost with its stream, at work.
_IN_DOUBT = frozenset({Phase.PROVIDER, Phase.MODEL})


def decide(situation: Situation, now: int) -> Step:
    """The one next step for a job. `now` is milliseconds since 1970 UTC."""
    job, attempt = situation.job, situation.attempt
    stray = stray_step(situation, now)
    if isinstance(stray, CancelRun | Look):
        return stray
    effect = None if job.status in TERMINAL else decide_effect(situation, now)
    if job.status in TERMINAL:
        step: Step = _after_the_end(situation, now)
    elif effect is not None:
        return effect if stray is None or not isinstance(effect, Wait) else _soonest(effect, stray)
    elif attempt is not None and attempt.state is AttemptState.SENDING:
        step = _in_flight(situation, attempt, now)
    elif job.phase is Phase.CANCELING:
        step = _canceling(situation, now)
    elif job.phase is Phase.SUBMISSION_UNKNOWN:
        found = attempt is not None and attempt.state is not AttemptState.UNKNOWN
        step = Adopt(attempt) if found and attempt else Wait(None)
    elif attempt is not None and attempt.state is AttemptState.UNKNOWN and job.phase in _IN_DOUBT:
        step = _unknown(situation, attempt, now)
    elif now >= job.useful_until and not out_with_a_run(situation) and not _only_ends(situation):
        out = attempt is not None and attempt.state is AttemptState.ACCEPTED
        step = BeginExpiry() if out else End("expired")
    else:
        step = _open(situation, now)
    return _no_later_than(step, stray, job, now)


def _no_later_than(step: Step, stray: Step | None, job: Job, now: int) -> Step:
    """A wait ends no later than a stray run's next look, nor than the useful window of an open job."""
    if not isinstance(step, Wait):
        return step
    step = _soonest(step, stray)
    holds = job.phase is Phase.SUBMISSION_UNKNOWN
    if job.status in TERMINAL or holds or job.useful_until <= now:
        return step
    return _soonest(step, Wait(job.useful_until))


def _soonest(step: Wait, other: Step | None) -> Wait:
    """A wait that ends no later than another one."""
    ends = [step.until, other.until if isinstance(other, Wait) else None]
    known = [end for end in ends if end is not None]
    return Wait(min(known) if known else None, step.phase, step.code)


def _only_ends(situation: Situation) -> bool:
    """Whether everything happened that was to happen: the job is released, however late that is noticed."""
    attempt, actions = situation.attempt, situation.actions
    if attempt is None or attempt.state is not AttemptState.COMPLETED or situation.calls_open > 0:
        return False
    mine = [one for one in actions if one.attempt_id == attempt.id]
    over = bool(mine) and all(one.state is ActionState.SUCCEEDED for one in counted(actions))
    return over and situation.job.status is Status.RUNNING and (situation.calls == 0 or situation.finishes)


def _after_the_end(situation: Situation, now: int) -> Step:
    """A terminal job follows a run that may still cost money, and does nothing else."""
    attempt = situation.attempt
    if attempt is None:
        return Wait(None)
    if situation.answer_kept:
        return Settle(attempt)
    if attempt.state is AttemptState.SENDING:
        return _in_flight(situation, attempt, now)
    return followed(attempt, situation.timings, now)


def _in_flight(situation: Situation, attempt: Attempt, now: int) -> Step:
    """A create is out. Whoever sent it brings the reply; only when that cannot be any more is it unknown."""
    until = (attempt.sent_at or attempt.planned_at) + situation.timings.call_timeout * 2
    if situation.sender_gone or now >= until:
        return MarkUnknown(attempt)
    if situation.job.phase is Phase.CANCELING and situation.job.cancel_asked_at is not None:
        give_up = situation.job.cancel_asked_at + situation.timings.cancel_wait
        if now >= give_up:
            return End(situation.job.ends_as or "canceled")
        until = min(until, give_up)
    return Wait(until)


def _canceling(situation: Situation, now: int) -> Step:
    job, attempt = situation.job, situation.attempt
    ends_as = job.ends_as or "canceled"
    asked_at = job.cancel_asked_at or job.phase_since
    over = now >= asked_at + situation.timings.cancel_wait
    if attempt is not None and situation.answer_kept:
        return Settle(attempt)
    if attempt is None or over:
        return End(ends_as)
    if attempt.state is AttemptState.UNKNOWN and not _was_lost(attempt):
        return Wait(asked_at + situation.timings.cancel_wait)
    if attempt.state is AttemptState.ACCEPTED:
        at = attempt.look_at or 0
        if attempt.cancel_sent_at is None or now >= at:
            return CancelRun(attempt)
        return Wait(min(at, asked_at + situation.timings.cancel_wait))
    return End(ends_as)


def _unknown(situation: Situation, attempt: Attempt, now: int) -> Step:
    waited = (attempt.unknown_at or attempt.planned_at) + situation.timings.unknown_wait
    if situation.job.phase is Phase.MODEL:
        return Recover(attempt)
    if now < waited:
        return Wait(waited)
    if _was_lost(attempt) and (attempt.looked_at or 0) < waited and now < situation.job.useful_until:
        # It may have ended in the meantime.
        return Recover(attempt) if now >= (attempt.look_at or 0) else Wait(attempt.look_at)
    may_rebuy = (
        not situation.spent and situation.rebuy and not situation.rebought and not situation.over_budget
    )
    if may_rebuy and now < situation.job.useful_until and situation.type_loaded:
        return Plan(AttemptReason.REBUY)
    return AskPerson(attempt)


def _was_lost(attempt: Attempt) -> bool:
    """Whether an unknown run was lost with its stream: its id is known, and no reply will come."""
    return attempt.interactive and attempt.provider_response_id is not None


_NEXT_REASON = {
    AttemptState.REFUSED: AttemptReason.REFUSED,
    AttemptState.NOT_SENT: AttemptReason.PROVEN_UNSENT,
    AttemptState.FAILED: AttemptReason.PROVIDER_FAILED,
    AttemptState.UNKNOWN: AttemptReason.PERSON,
}


# A run that carried approvals of remote calls is not bought again after these: they might be made again.
_MAY_HAVE_ACTED = frozenset(
    {
        AttemptState.UNKNOWN,
        AttemptState.FAILED,
        AttemptState.INCOMPLETE,
        AttemptState.CANCELED,
        AttemptState.GONE,
    }
)
_ACTED_AS = {AttemptState.UNKNOWN: "submission_given_up", AttemptState.GONE: "result_gone"}

# Bought after a run that ended: after a restore it may be bought already.
_AFTER_A_RUN = frozenset({AttemptReason.PROVIDER_FAILED, AttemptReason.NEXT_TURN})


def _open(situation: Situation, now: int) -> Step:
    job, attempt = situation.job, situation.attempt
    if job.status is Status.NEEDS_REVIEW:
        due = situation.respond_by
        return HandOn() if due is not None and now >= due else Wait(due)
    if attempt is not None:
        steered = _steered(situation, attempt, now)
        if steered is not None:
            return steered
        if attempt.state is AttemptState.ACCEPTED:
            return _observe(situation, attempt, now)
        if attempt.state is AttemptState.COMPLETED:
            if not situation.type_loaded:
                # What was written for it stays where it is: only an answer that is still kept may be put off.
                put_off = None if job.phase in (Phase.CHECK, Phase.ACTION) else Phase.INCIDENT
                return Wait(now + situation.timings.unloaded_probe, put_off, "type_not_loaded")
            if situation.calls > 0:
                return _turn(situation, attempt, now)
            return _result(situation, attempt, now)
        if situation.answer_kept:
            return Settle(attempt)
    return _purchase(situation, now)


# What a person's words stop: a run at work, or one that was not sent yet.
_OVERTAKEN = frozenset({AttemptState.ACCEPTED, AttemptState.PLANNED})


def _steered(situation: Situation, attempt: Attempt, now: int) -> Step | None:
    """A person has spoken: the running turn is stopped first, then the next one is bought."""
    job = situation.job
    if attempt.state is AttemptState.CANCELED and attempt.code == STEERED:
        if job.phase in _IN_DOUBT:
            return Steer(attempt)
        return _purchase(situation, now, AttemptReason.NEXT_TURN)
    # A run that carries approvals of remote calls is not stopped: what became of them would not be known.
    if situation.messages == 0 or carried(situation.actions):
        return None
    if attempt.state in _OVERTAKEN:
        return Steer(attempt)
    answered = attempt.state is AttemptState.COMPLETED and situation.calls == 0
    # In an incident the answer may also be one that was put off unread, while its type was not loaded.
    aside = job.phase is Phase.READY or (job.phase is Phase.INCIDENT and situation.overtaken)
    if answered and job.status is Status.QUEUED and aside:
        return _purchase(situation, now, AttemptReason.NEXT_TURN)
    return None


def _turn(situation: Situation, attempt: Attempt, now: int) -> Step:
    """The run waits for answers to its calls: they are made, then the next turn is bought."""
    if situation.calls_open > 0:
        return Fail("max_cost_reached") if situation.over_budget else RunTools(attempt)
    step = decide_action(situation, now)
    if step is not None:
        return step
    if situation.finishes and any(one.attempt_id == attempt.id for one in situation.actions):
        return Finish(attempt)
    if situation.over_budget:
        return Fail("max_cost_reached")
    if situation.job.status is Status.RUNNING:
        return RunTools(attempt)
    return _purchase(situation, now, AttemptReason.NEXT_TURN)


def _observe(situation: Situation, attempt: Attempt, now: int) -> Follow | Look | Recover | Wait:
    """Read the live stream of a run that has one, where there is room; look at any other."""
    if attempt.interactive and situation.stream_held:
        return Follow(attempt)
    if now < (attempt.look_at or 0):
        return Wait(attempt.look_at)
    if attempt.interactive:
        return Recover(attempt)
    streams = situation.job.live and attempt.stream_state == "open" and situation.stream_room
    return Follow(attempt) if streams else Look(attempt)


def _result(situation: Situation, attempt: Attempt, now: int) -> Step:
    """The run gave its answer: outputs, checks, what the type proposes from it, then the gate."""
    phase = situation.job.phase
    if phase is Phase.CHECK:
        return Check(attempt)
    if situation.answer_kept or phase is not Phase.ACTION:
        return Settle(attempt)
    if situation.proposes:
        return Propose(attempt)
    return decide_action(situation, now) or Finish(attempt)


def _purchase(situation: Situation, now: int, because: AttemptReason | None = None) -> Step:
    """A run is to be bought, if nothing forbids or delays it."""
    job, attempt = situation.job, situation.attempt
    if job.wait_until is not None and now < job.wait_until:
        return Wait(job.wait_until)
    if not situation.type_loaded:
        return Wait(now + situation.timings.unloaded_probe, Phase.INCIDENT, "type_not_loaded")
    waits = decide_carried(situation, now)
    if waits is not None:
        return waits
    if situation.incident_until is not None and now < situation.incident_until:
        return Wait(situation.incident_until, Phase.INCIDENT, "provider_incident")
    if attempt is not None and attempt.state is AttemptState.PLANNED:
        return Send(attempt)
    if situation.over_budget:
        return Fail("max_cost_reached")
    if situation.spent and attempt is not None and attempt.state in _MAY_HAVE_ACTED:
        return Fail(_ACTED_AS.get(attempt.state, attempt.code or "run_failed"))
    reason = because or (AttemptReason.FIRST if attempt is None else _NEXT_REASON.get(attempt.state))
    if reason is None:
        return Fail("stopped_at_provider")
    if reason is AttemptReason.PROVIDER_FAILED and situation.accepted >= situation.max_attempts:
        return Fail("attempts_used_up")
    if reason in _AFTER_A_RUN and attempt is not None and attempt.sender == RESTORED:
        # Its next run may have been bought after the backup that we live on was made.
        return AskPerson(attempt)
    if attempt is not None and attempt.state is AttemptState.NOT_SENT and job.status is Status.RUNNING:
        return RunTools(attempt)  # what it was to carry was approved anew
    return Plan(reason)

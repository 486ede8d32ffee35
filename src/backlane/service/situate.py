"""Gathering what a decision rests on, inside the transaction that will act on it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from backlane.core.action import Action, ActionState, Origin, carried, current
from backlane.core.duration import Usual
from backlane.core.job import Attempt, AttemptReason, AttemptState, Job, Phase, Status, newest_of
from backlane.core.lifecycle import TERMINAL
from backlane.core.ports import JobType
from backlane.core.situation import Situation
from backlane.core.storage import Transaction
from backlane.core.stray import is_followed
from backlane.service.incident import holds_of
from backlane.service.learn import hinted_for, told_ends, usual_for
from backlane.service.ports import Ports
from backlane.service.spend import is_spent

# A person's or a turn's new attempt starts the count of accepted ones anew (contract section 4).
_NEW_COUNT = frozenset({AttemptReason.NEXT_TURN, AttemptReason.CHANGES_REQUESTED, AttemptReason.PERSON})
_RUN_ENDED = frozenset(
    {AttemptState.COMPLETED, AttemptState.FAILED, AttemptState.INCOMPLETE, AttemptState.CANCELED}
)
# While the newest attempt is here, no run is bought: an incident of the account does not matter.
_NO_PURCHASE = frozenset({AttemptState.SENDING, AttemptState.ACCEPTED, AttemptState.COMPLETED})


@dataclass(frozen=True, slots=True)
class Held:
    """A job a worker holds by `lease_no`, with what it knows of it.

    `told` is when an event said of a run that it has ended, by attempt: stored, so that no crash loses it.
    """

    job: Job
    lease_no: int
    attempts: tuple[Attempt, ...]
    situation: Situation
    type: JobType | None
    usual: Usual | None = None
    hinted: bool = False
    told: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt; a second purchase that was found is none."""
        return newest_of(self.attempts)


def situate(tx: Transaction, ports: Ports, job: Job) -> Held:
    """Read a job's situation."""
    attempts = tuple(tx.attempts(job.id))
    newest = newest_of(attempts)
    job_type = ports.types.get(job.type)
    is_open = job.status not in TERMINAL
    ended = newest is not None and newest.state is AttemptState.COMPLETED
    calls = tx.tool_states(newest.id) if is_open and ended and newest else []
    # Only an interactive job is spoken to while it is open; whatever else was said came with its first turn.
    spoken = len(tx.waiting_messages(job.id)) if is_open and job.lane == "interactive" else 0
    buys = is_open and (newest is None or newest.state not in _NO_PURCHASE or bool(calls) or spoken > 0)
    holds = holds_of(tx, job) if buys else []
    situation = Situation(
        job=job,
        attempt=newest,
        timings=ports.timings,
        strays=tuple(one for one in attempts if one is not newest and is_followed(one)),
        accepted=_accepted(attempts),
        rebought=any(one.reason is AttemptReason.REBUY and not one.stray for one in attempts),
        over_budget=over_budget(tx, job, attempts),
        type_loaded=job_type is not None,
        sender_gone=newest is not None
        and newest.state is AttemptState.SENDING
        and ports.worker.is_gone(newest.sender),
        answer_kept=newest is not None
        and newest.state in _RUN_ENDED
        and tx.kept_answer(newest.id) is not None,
        calls=len(calls),
        messages=spoken,
        overtaken=spoken > 0 and ended and _overtaken(tx, job),
        calls_open=calls.count("called"),
        incident_until=max((row["probe_at"] for row in holds), default=None),
        stream_room=newest is not None and ports.streams.has_room(newest.id),
        stream_held=newest is not None and ports.streams.holds(newest.id),
        respond_by=_respond_by(tx, job),
        **(_of_actions(tx, ports, job, newest) if is_open else {}),
    )
    if job_type is not None:
        rebuy = job_type.if_unknown == "rebuy"
        situation = replace(situation, max_attempts=job_type.max_attempts, rebuy=rebuy)
        if is_open:
            situation = replace(situation, **_of_type(job_type, situation))
    usual, hinted = usual_for(tx, job, newest), hinted_for(tx, newest, ports.clock.now())
    told = told_ends(tx, attempts)
    return Held(job, job.lease_no, attempts, situation, job_type, usual, hinted, told)


def _overtaken(tx: Transaction, job: Job) -> bool:
    """Whether a job with an answer was put in line for a person's words, and has only waited since."""
    if job.phase is not Phase.INCIDENT:
        return job.phase is Phase.READY
    before = [one.phase for one in tx.changes([job.id]).get(job.id, ()) if one.phase != Phase.INCIDENT]
    return bool(before) and before[-1] == Phase.READY


def _of_actions(tx: Transaction, ports: Ports, job: Job, newest: Attempt | None) -> dict[str, Any]:
    """What the ledger says of a job, and whether its workspace lets anything out now."""
    actions = tuple(tx.actions(job.id))
    action = current(actions)
    stopped = bool(action or carried(actions)) and tx.actions_stopped_at(job.workspace) is not None
    if action is None:
        spent = newest is not None and is_spent(tx, newest, actions)
        return {"actions": actions, "spent": spent, "actions_stopped": stopped}
    gone = action.state is ActionState.DISPATCHING and ports.worker.is_gone(action.sender)
    return {"actions": actions, "actions_stopped": stopped, "effect_sender_gone": gone}


def _of_type(job_type: JobType, situation: Situation) -> dict[str, Any]:
    """What the type says of the actions: whether they can be looked up, and whether more are to be proposed."""
    action, attempt = current(situation.actions), situation.attempt
    mine = [one for one in situation.actions if attempt is not None and one.attempt_id == attempt.id]
    return {
        "can_look_up": action is not None and _can_look_up(job_type, action),
        "proposes": job_type.proposes and not any(one.origin is Origin.TYPE for one in mine),
        "finishes": job_type.finish_after_actions,
    }


def _can_look_up(job_type: JobType, action: Action) -> bool:
    declared = None if action.origin is Origin.MCP else job_type.action(action.type)
    return declared is not None and declared.can_look_up


def _respond_by(tx: Transaction, job: Job) -> int | None:
    """Until when the open review is to be decided."""
    review = tx.open_review(job.id) if job.status is Status.NEEDS_REVIEW else None
    return None if review is None else review["respond_by"]


def _accepted(attempts: tuple[Attempt, ...]) -> int:
    count = 0
    for attempt in attempts:
        if attempt.reason in _NEW_COUNT:
            count = 0
        count += attempt.accepted_at is not None and not attempt.stray
    return count


def in_doubt(attempts: tuple[Attempt, ...], lines: list[dict[str, Any]]) -> int:
    """How many attempts may have cost money that nobody could price."""
    priced = {line["attempt_id"] for line in lines if line["amount"] is not None}
    may_cost = (*_RUN_ENDED, AttemptState.UNKNOWN, AttemptState.GONE)
    return sum(1 for one in attempts if one.state in may_cost and one.id not in priced)


def over_budget(tx: Transaction, job: Job, attempts: tuple[Attempt, ...]) -> bool:
    """Whether settled cost, attempts of unknown cost counted at the type's average, reached the limit."""
    if job.max_cost is None or not attempts:
        return False
    lines = tx.cost_lines(job.id)
    spent = sum((Decimal(line["amount"]) for line in lines if line["amount"] is not None), Decimal(0))
    doubtful = in_doubt(attempts, lines)
    if doubtful:
        spent += doubtful * (tx.average_cost(job.workspace, job.type) or Decimal(0))
    return spent >= Decimal(job.max_cost)

"""The end of a good run: completed, released by a policy or its last action, refused, or stopped at its gate."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.action import SENT_BACK, Action, ActionState, counted
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.policy import Answer, Over
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.service.approve_action import POLICY
from backlane.service.fail import fail
from backlane.service.judge import output_verdict
from backlane.service.ports import Ports
from backlane.service.release import approved_review, decided_release, open_gate_review
from backlane.service.situate import Held
from backlane.service.tighten import tighten


def complete_or_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Complete it where nothing has to be decided; else the type proposes its actions, or the gate is met."""
    said = output_verdict(tx, job.id)
    if said is not None and said["answer"] == Answer.REFUSE:
        return _refused(tx, job, said, now)
    approval = approved_review(tx, job)
    if approval is not None:
        return decided_release(job, approval, now, actor="backlane")
    if held.type is not None and held.type.proposes and not _has_proposed(tx, held):
        job, event = lifecycle.apply(job, Command.PROCEED, now, phase=Phase.ACTION, actor="backlane")
        return replace(job, due_at=now), [event]
    return release_or_review(tx, ports, held, job, now)


def release_or_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Release what nobody has to look at: an open gate, a policy's allow, or the success of the last action.

    That releases what was written after it too, unless the type, a policy or its being sensitive say otherwise.
    """
    said = output_verdict(tx, job.id)
    if said is not None and said["answer"] == Answer.REFUSE:
        return _refused(tx, job, said, now)
    job = tightened(tx, job, said)
    # Whoever asked for changes is shown what came of it, whatever else would release it.
    sent_back = job.review_state == SENT_BACK
    if job.gate is Gate.NONE and not sent_back:
        after, event = lifecycle.apply(job, Command.FINISH_UNREVIEWED, now, actor="backlane")
        return replace(after, due_at=None), [event]
    if job.gate is Gate.POLICY and not sent_back and held.type is not None and _stands(held.type, said):
        return _opened(tx, job, said, now)
    reviews_text = held.type is None or held.type.reviews_text
    looked_at = reviews_text or sent_back or job.sensitive is not None or _asks(said)
    if looked_at or not all_happened(tx.actions(job.id)):
        return open_gate_review(tx, ports, held, job, now)
    reviews = [one for one in tx.reviews_of([job.id])[job.id] if one["kind"] == Phase.ACTION]
    approved = [one["id"] for one in reviews if one["state"] == "approved"]
    review = approved[-1] if approved else None
    after, event = lifecycle.apply(job, Command.APPROVE, now, actor="backlane", data={"review": review})
    told = Event("job.released", now, "backlane", {"review": review, "edited": False})
    # Where a policy approved every action nobody was asked for a review.
    after = (
        replace(after, review_state="approved") if approved else replace(after, review_state="not_required")
    )
    return replace(after, released="whole", due_at=None), [event, told]


def tightened(tx: Transaction, job: Job, said: Row | None) -> Job:
    """The job behind the gate that its hook or policies ask for; never a looser one."""
    if said is not None and said["sensitive"]:
        return replace(tighten(tx, job, Gate.SENSITIVE), sensitive=job.sensitive or "hook")
    return tighten(tx, job, Gate.OUTPUT) if _asks(said) else job


def _asks(said: Row | None) -> bool:
    return said is not None and said["answer"] == Answer.REVIEW


def _stands(job_type: JobType, said: Row | None) -> bool:
    """Whether all that has a say now allowed exactly this result. A gate whose policy is gone stays closed."""
    version = job_type.rules.version(Over.OUTPUT)
    return said is not None and version == said["version"] and said["answer"] == Answer.ALLOW


def _opened(tx: Transaction, job: Job, said: Row | None, now: int) -> tuple[Job, Sequence[Event]]:
    """The policy, or the hook, has answered: it is released without a person."""
    assert said is not None
    _note(tx, job, said, "output.allowed", now)
    data = {"policy_version": said["version"]}
    after, event = lifecycle.apply(job, Command.FINISH_UNREVIEWED, now, actor=POLICY, data=data)
    told = Event("job.released", now, POLICY, {"review": None, "edited": False, **data})
    return replace(after, released="whole", due_at=None), [event, told]


def _refused(tx: Transaction, job: Job, said: Row, now: int) -> tuple[Job, Sequence[Event]]:
    """The policy refuses the output: it stays closed, whoever would approve it."""
    _note(tx, job, said, "output.refused", now)
    job = tighten(tx, job, Gate.POLICY)
    after, event = fail(job, now, "policy_refused", actor=POLICY)
    return after, [event]


def _note(tx: Transaction, job: Job, said: Row, what: str, now: int) -> None:
    line = {"workspace": job.workspace, "at": now, "actor": POLICY, "action": what, "subject": job.id}
    data = {"artifact": said["artifact_id"], "payload_hash": said["payload_hash"]}
    tx.audit({**line, "data": {**data, "version": said["version"], "policy": said["policy"]}})


def all_happened(actions: Sequence[Action]) -> bool:
    """Whether there were actions, and every one of them took effect."""
    mine = counted(actions)
    return bool(mine) and all(one.state is ActionState.SUCCEEDED for one in mine)


def _has_proposed(tx: Transaction, held: Held) -> bool:
    attempt = held.attempt
    return attempt is None or any(
        one.attempt_id == attempt.id and one.call_row is None for one in tx.actions(held.job.id)
    )

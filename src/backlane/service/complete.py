"""The end of a good run: completed, released by its last action, or stopped at the gate decided at submit."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.action import SENT_BACK, Action, ActionState, counted
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.ports import Ports
from backlane.service.release import approved_review, decided_release, open_gate_review
from backlane.service.situate import Held


def complete_or_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """Complete it where nothing has to be decided; else the type proposes its actions, or the gate is met."""
    if job.gate is Gate.NONE and job.sent_back_seq is None:
        after, event = lifecycle.apply(job, Command.FINISH_UNREVIEWED, now, actor="backlane")
        return replace(after, due_at=None), [event]
    approval = approved_review(tx, job)
    if approval is not None:
        return decided_release(job, approval, now, actor="backlane")
    if held.type is not None and held.type.proposes and not _has_proposed(tx, held):
        after, event = lifecycle.apply(job, Command.PROCEED, now, phase=Phase.ACTION, actor="backlane")
        return replace(after, due_at=now), [event]
    return release_or_review(tx, ports, held, job, now)


def release_or_review(
    tx: Transaction, ports: Ports, held: Held, job: Job, now: int
) -> tuple[Job, Sequence[Event]]:
    """The last action's success releases the job, unless the type has what is written after it reviewed too."""
    if job.review_state == SENT_BACK:
        # Whoever asked for changes is shown what came of it, whatever else would let it out now.
        return open_gate_review(tx, ports, held, job, now)
    reviews_text = held.type is None or held.type.reviews_text
    if reviews_text or not all_happened(tx.actions(job.id)):
        return open_gate_review(tx, ports, held, job, now)
    reviews = [one for one in tx.reviews_of([job.id])[job.id] if one["kind"] == Phase.ACTION]
    review = reviews[-1]["id"] if reviews else None
    after, event = lifecycle.apply(job, Command.APPROVE, now, actor="backlane", data={"review": review})
    told = Event("job.released", now, "backlane", {"review": review, "edited": False})
    return replace(after, released="whole", review_state="approved", due_at=None), [event, told]


def all_happened(actions: Sequence[Action]) -> bool:
    """Whether there were actions, and every one of them took effect."""
    mine = counted(actions)
    return bool(mine) and all(one.state is ActionState.SUCCEEDED for one in mine)


def _has_proposed(tx: Transaction, held: Held) -> bool:
    attempt = held.attempt
    return attempt is None or any(
        one.attempt_id == attempt.id and one.call_row is None for one in tx.actions(held.job.id)
    )

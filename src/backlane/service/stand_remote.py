"""Whether the approvals that a planned run carries still stand, asked in the transaction that commits its sending.

Hours may pass between the moment a remote call was let go and the create that takes it along.
"""

from collections.abc import Sequence

from backlane.core.action import Action, ActionState, carried
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job
from backlane.core.storage import Transaction
from backlane.service.approve_action import as_acting
from backlane.service.ask import content_now
from backlane.service.ports import Ports
from backlane.service.settle_remote import carried_by
from backlane.service.situate import Held
from backlane.service.stand import stopped, why_void


async def contents_carried(ports: Ports, held: Held) -> dict[str, str | None]:
    """Where the servers of the calls that wait for a run are now, by action."""
    found: dict[str, str | None] = {}
    for action in carried(held.situation.actions):
        try:
            found[action.id] = await content_now(ports, held, action)
        except ValueError:
            found[action.id] = "unreadable"
    return found


def held_back(
    tx: Transaction, ports: Ports, job: Job, attempt: Attempt, contents: dict[str, str | None]
) -> tuple[Job, Sequence[Event]] | None:
    """The job as it goes on where what this run carries may not go; None if the run may be sent."""
    mine = carried_by(tx, attempt)
    if not mine:
        return None
    if stopped(tx, job.workspace):
        return job, ()
    void: list[tuple[Action, str]] = []
    for action in mine:
        why = why_void(tx, ports, job, action, contents.get(action.id, "unreadable"), let_go=True)
        if why is not None:
            void.append((action, why))
    return _taken_back(tx, ports, job, attempt, void) if void else None


def _taken_back(
    tx: Transaction, ports: Ports, job: Job, attempt: Attempt, void: list[tuple[Action, str]]
) -> tuple[Job, Sequence[Event]]:
    """Nothing was sent: the attempt is closed, and each call that lost its approval is asked about anew."""
    now = ports.clock.now()
    tx.move_attempt(
        attempt.id,
        [AttemptState.PLANNED],
        state=AttemptState.NOT_SENT,
        code="approval_void",
        finished_at=now,
    )
    closed = {"attempt": attempt.id, "state": AttemptState.NOT_SENT, "code": "approval_void"}
    told = [Event("attempt.refused", now, "backlane", closed)]
    names = ("approved_at", "approved_by", "dispatch_after", "review_id", "dispatched_at", "sender")
    cleared = dict.fromkeys(names)
    for action, why in void:
        tx.withdraw_dispatch(action.id)
        tx.move_action(action.id, [ActionState.DISPATCHING], state=ActionState.PROPOSED, code=why, **cleared)
        assert action.call_row is not None
        tx.reopen_tool_call(action.call_row)
        data = {"action": action.id, "number": action.number, "origin": str(action.origin), "code": why}
        told.append(Event("action.proposed", now, "backlane", {**data, "not_sent": attempt.id}))
    job, started = as_acting(job, now)
    return job, [*told, *started]

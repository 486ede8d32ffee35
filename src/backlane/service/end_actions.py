"""What was never sent ends with its job."""

from backlane.core.action import UNSENT, ActionState, is_carried
from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Transaction


def end_actions(tx: Transaction, job: Job, now: int) -> None:
    """Take back every action that was not carried out: no approval outlives its job."""
    told: list[Event] = []
    for action in tx.actions(job.id):
        ended = {"state": ActionState.UNDONE, "finished_at": now, "code": "job_ended"}
        if tx.move_action(action.id, sorted(UNSENT), **ended):
            data = {"action": action.id, "number": action.number, "code": "job_ended"}
            told.append(Event("action.undone", now, "backlane", data))
        elif is_carried(action):
            # Its job could only end because the run that was to carry it was never taken.
            failed = {"state": ActionState.FAILED, "settled_by": "provider"}
            tx.move_action(action.id, [ActionState.DISPATCHING], **{**ended, **failed})
            data = {"action": action.id, "number": action.number, "code": "job_ended", "kind": "provider"}
            told.append(Event("action.failed", now, "backlane", data))
    if told:
        tx.keep_events(job.id, told)

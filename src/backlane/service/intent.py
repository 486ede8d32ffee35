"""An attempt before anything is known of it."""

from backlane.core.job import Attempt, AttemptReason, AttemptState, Job
from backlane.service.ports import Ports


def intent(ports: Ports, job: Job, number: int, reason: AttemptReason, now: int) -> Attempt:
    """The row that says a run is to be bought; nothing has been sent."""
    return Attempt(
        id=ports.ids.new("att"),
        job_id=job.id,
        workspace=job.workspace,
        number=number,
        reason=reason,
        state=AttemptState.PLANNED,
        lane=job.lane,
        provider_account=job.provider_account,
        provider_response_id=None,
        provider_status=None,
        model=None,
        sender=None,
        planned_at=now,
        sent_at=None,
        unknown_at=None,
        accepted_at=None,
        looked_at=None,
        look_at=None,
        looks=0,
        cancel_sent_at=None,
        finished_at=None,
        code=None,
        usage=None,
        window=job.window,
    )

"""Deleting runs at the provider once nothing more is wanted of them, where the settings ask for it."""

from backlane.core.job import Attempt, AttemptState, newest_of
from backlane.core.lifecycle import TERMINAL
from backlane.core.storage import Transaction
from backlane.service.ports import Ports

_ENDED = (AttemptState.COMPLETED, AttemptState.FAILED, AttemptState.INCOMPLETE)


async def forget_runs(ports: Ports, job_id: str, attempt: Attempt | None = None) -> None:
    """Delete the job's runs whose ends are stored, and this attempt's; a failure leaves it to retention.

    While the job goes on, the runs that its next turn goes on from stay; under a legal hold all of them do.
    """
    if not ports.delete_at_provider:
        return
    for one in await ports.store.read(lambda tx: _unwanted(tx, job_id, attempt)):
        if one.provider_response_id is not None:
            await ports.provider.delete(one.provider_account, one.provider_response_id)


def _unwanted(tx: Transaction, job_id: str, attempt: Attempt | None) -> list[Attempt]:
    job, attempts = tx.job(job_id), tx.attempts(job_id)
    if job is None or job.held:
        return []
    newest = newest_of(attempts)
    answered = newest is not None and newest.state is AttemptState.COMPLETED and not tx.tool_states(newest.id)
    goes_on = job.status not in TERMINAL and not answered
    # What came from a canceled run all the same is stored too; one that is looked at again has more to say.
    looked_at = {one.id for one in attempts if one.look_at is not None}
    late = {row["attempt_id"] for row in tx.artifacts(job_id) if row["kind"] == "late"} - looked_at
    return [
        one
        for one in attempts
        if (one.state in _ENDED or one.id in late or (attempt is not None and one.id == attempt.id))
        and not (goes_on and one.state is AttemptState.COMPLETED)
    ]

"""The statements about draws and verdicts, each named and described."""

from sqlalchemy import Select, bindparam, insert, select

from backlane.store.tables import jobs
from backlane.store.tables_policy import policy_draws, policy_verdicts, policy_versions

INSERT_DRAW = insert(policy_draws)
# How a job's draw went.
DRAW = select(policy_draws).where(policy_draws.c.job_id == bindparam("job_id"))
INSERT_VERDICT = insert(policy_verdicts)
# What policies said about a job, oldest first.
VERDICTS = (
    select(policy_verdicts)
    .where(policy_verdicts.c.job_id == bindparam("job_id"))
    .order_by(policy_verdicts.c.id)
)
# Which versions were loaded last, for each type and what is judged.
VERSIONS = select(policy_versions).where(policy_versions.c.workspace == bindparam("workspace"))


def finished_jobs(workspace: str | None, type_name: str | None, after: str, limit: int) -> Select[tuple[str]]:
    """The ids of jobs that have ended, oldest first."""
    found = select(jobs.c.id).where(jobs.c.finished_at.is_not(None), jobs.c.id > after)
    if workspace is not None:
        found = found.where(jobs.c.workspace == workspace)
    if type_name is not None:
        found = found.where(jobs.c.type == type_name)
    return found.order_by(jobs.c.id).limit(limit)

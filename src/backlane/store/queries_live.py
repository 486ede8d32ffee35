"""The statements of live text, each a named constant under one line that says what it is for."""

from sqlalchemy import bindparam, func, select

from backlane.store.tables import events, jobs

_VOIDED = (
    select(func.max(events.c.seq))
    .where(events.c.job_id == bindparam("job_id"), events.c.type == "output.reset")
    .scalar_subquery()
)
# The pieces of a job's text since it was last voided.
STREAMED = (
    select(events.c.data)
    .where(
        events.c.job_id == bindparam("job_id"),
        events.c.type == "output.delta",
        events.c.seq > func.coalesce(_VOIDED, 0),
    )
    .order_by(events.c.seq)
)
# The newest event's number of many jobs, each found by one step into an index.
NEWEST_SEQS = select(
    jobs.c.id,
    select(events.c.seq)
    .where(events.c.job_id == jobs.c.id)
    .order_by(events.c.seq.desc())
    .limit(1)
    .scalar_subquery()
    .label("seq"),
).where(jobs.c.id.in_(bindparam("ids", expanding=True)))

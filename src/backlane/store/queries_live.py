"""The statements of live text, each a named constant under one line that says what it is for."""

from sqlalchemy import bindparam, func, insert, select

from backlane.store.tables import events, jobs
from backlane.store.tables_wire import unknown_events

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
# An event of a stream that nobody here knows.
KEEP_UNKNOWN = insert(unknown_events)
# Those of a run, in the order they came.
UNKNOWN_EVENTS = (
    select(unknown_events.c.body)
    .where(unknown_events.c.attempt_id == bindparam("attempt_id"))
    .order_by(unknown_events.c.number)
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

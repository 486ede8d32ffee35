"""The statements about lanes, each a named constant under one line that says what it is for."""

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, update

from backlane.store.tables import attempts, durations, jobs, lanes
from backlane.store.tables_wire import lane_minutes

# The open incidents of a lane, the account's own and the workspace's hold.
HOLDS = select(lanes).where(
    lanes.c.provider_account.in_(bindparam("places", expanding=True)), lanes.c.lane == bindparam("lane_name")
)
# Take the one probe of an incident that is due, if nobody took it.
CLAIM_PROBE = (
    update(lanes)
    .where(
        lanes.c.provider_account == bindparam("account"),
        lanes.c.lane == bindparam("lane_name"),
        lanes.c.since == bindparam("at_since"),
        lanes.c.probes == bindparam("at_probes"),
        lanes.c.probe_at <= bindparam("now"),
    )
    .values(probe_at=bindparam("at"), probes=lanes.c.probes + 1)
)
# How calls of an account and lane went lately.
COUNTS = select(
    func.sum(lane_minutes.c.good).label("good"),
    func.sum(lane_minutes.c.bad).label("bad"),
    func.sum(lane_minutes.c.delay).label("delay"),
).where(
    lane_minutes.c.provider_account == bindparam("account"),
    lane_minutes.c.lane == bindparam("lane_name"),
    lane_minutes.c.minute >= bindparam("first"),
)
# Forget what is older than anybody reads.
FORGET_COUNTS = delete(lane_minutes).where(
    lane_minutes.c.provider_account == bindparam("account"),
    lane_minutes.c.lane == bindparam("lane_name"),
    lane_minutes.c.minute < bindparam("first"),
)
# Jobs that wait for a lane, which nobody holds; the oldest first.
WAITING = (
    select(jobs.c.id)
    .where(
        jobs.c.due_at > bindparam("now"),
        jobs.c.lease_state == "free",
        jobs.c.status == "queued",
        jobs.c.phase == "incident",
        jobs.c.provider_account == bindparam("account"),
        jobs.c.lane == bindparam("lane_name"),
    )
    .order_by(jobs.c.created_at, jobs.c.id)
    .limit(bindparam("n"))
)
# The same, of one workspace.
WAITING_HERE = WAITING.where(jobs.c.workspace == bindparam("at_workspace"))
# Let a waiting job go on at its time, if it still waits and nobody holds it.
ADMIT = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("at_id"),
        jobs.c.lease_state == "free",
        jobs.c.phase == "incident",
        jobs.c.due_at > bindparam("at_due"),
    )
    .values(due_at=bindparam("at_due"), wait_until=bindparam("at_due"), version=jobs.c.version + 1)
)
# Every statement here that changes a job, for the test that reads the guards.
GUARDED = (ADMIT,)
_OUT = and_(attempts.c.state.in_(("sending", "unknown", "accepted")), attempts.c.job_id == jobs.c.id)
# How many jobs of a workspace wait for a lane or have a run out there.
LANE_JOBS = (
    select(
        jobs.c.provider_account,
        jobs.c.lane,
        func.count(func.distinct(case((jobs.c.phase == "incident", jobs.c.id)))).label("waiting"),
        func.count(attempts.c.id).label("in_flight"),
    )
    .select_from(jobs.outerjoin(attempts, _OUT))
    .where(
        jobs.c.workspace == bindparam("workspace"),
        or_(jobs.c.status.in_(("queued", "running")), jobs.c.phase == "canceling"),
    )
    .group_by(jobs.c.provider_account, jobs.c.lane)
)
# Every kind of run of a workspace.
LANE_DURATIONS = select(durations.c.type, durations.c.model, durations.c.lane, durations.c.sample).where(
    durations.c.workspace == bindparam("workspace")
)

"""Every statement of the product, each a named constant under one line that says what it is for.

Every statement that changes `jobs` is guarded; GUARDED lists them, and a test reads the guards.
"""

from sqlalchemy import bindparam, case, delete, func, insert, literal, select, text, update

from backlane.store.tables import (
    answers,
    artifacts,
    attempts,
    cost_lines,
    durations,
    events,
    idempotency_keys,
    job_inputs,
    jobs,
    lanes,
    reviews,
)

# A new job, its inputs, an attempt, events: each made once, so that no submit builds a statement.
INSERT_JOB = insert(jobs)
INSERT_INPUTS = insert(job_inputs)
INSERT_ATTEMPT = insert(attempts)
INSERT_EVENT = insert(events)
# One job by its id.
JOB = select(jobs).where(jobs.c.id == bindparam("job_id"))
# The row that is locked before facts are written beside a job.
JOB_VERSION = select(jobs.c.version, jobs.c.workspace).where(jobs.c.id == bindparam("job_id"))
# Several jobs by id.
JOBS_BY_ID = select(jobs).where(jobs.c.id.in_(bindparam("ids", expanding=True)))
# Write a job as decided, if nobody changed it since.
SAVE_JOB = update(jobs).where(jobs.c.id == bindparam("at_id"), jobs.c.version == bindparam("at_version"))
# The same for a worker, which must also still hold the lease.
SAVE_LEASED_JOB = SAVE_JOB.where(jobs.c.lease_no == bindparam("at_lease_no"))
# Make a job due, so that a fact kept beside it is looked at.
WAKE_JOB = (
    update(jobs)
    .where(jobs.c.id == bindparam("at_id"), jobs.c.version == bindparam("at_version"))
    .values(due_at=bindparam("now"), lease_state="free", version=jobs.c.version + 1)
)
# Jobs that are due, soonest first; ones that lost a lease are marked.
DUE_JOBS = (
    select(jobs.c.id, jobs.c.lease_no, jobs.c.leases_lost, jobs.c.lease_state)
    .where(jobs.c.due_at <= bindparam("now"))
    .order_by(jobs.c.due_at, jobs.c.id)
    .limit(bindparam("n"))
)
# Give due jobs to a worker: a higher lease number, due again when the lease ends, lost leases counted.
CLAIM_JOBS = (
    update(jobs)
    .where(jobs.c.id.in_(bindparam("ids", expanding=True)), jobs.c.due_at <= bindparam("now"))
    .values(
        lease_no=jobs.c.lease_no + 1,
        due_at=bindparam("until"),
        leases_lost=case(
            (jobs.c.lease_state == "held", jobs.c.leases_lost + 1),
            (jobs.c.lease_state == "progressed", literal(1)),
            else_=jobs.c.leases_lost,
        ),
        lease_state="held",
    )
    .returning(jobs.c.id, jobs.c.lease_no)
)
# Begin work on a claimed job: a doubled or late delivery finds another lease number and nothing to do.
TAKE_JOB = (
    update(jobs)
    .where(jobs.c.id == bindparam("at_id"), jobs.c.lease_no == bindparam("at_lease_no"))
    .values(lease_no=jobs.c.lease_no + 1)
    .returning(jobs)
)
# Keep a lease for longer work.
RENEW_LEASE = (
    update(jobs)
    .where(jobs.c.id == bindparam("at_id"), jobs.c.lease_no == bindparam("at_lease_no"))
    .values(due_at=bindparam("until"))
)
# Keep a lease while a live stream is read: a worker that stops then was not stopped by this job.
LISTEN_LEASE = RENEW_LEASE.values(lease_state="listening", leases_lost=0)
# Hand a lease back at a drain: somebody else goes on at once.
GIVE_BACK = (
    update(jobs)
    .where(jobs.c.id == bindparam("at_id"), jobs.c.lease_no == bindparam("at_lease_no"))
    .values(due_at=bindparam("now"), lease_state="free", lease_no=jobs.c.lease_no + 1)
)
# End every lease of dead workers; only the holder of an exclusive store may.
END_LEASES = (
    update(jobs)
    .where(jobs.c.lease_state != "free", jobs.c.due_at > bindparam("now"))
    .values(due_at=bindparam("now"), lease_no=jobs.c.lease_no + 1)
)
# How many leases are running.
LEASES = (
    select(func.count())
    .select_from(jobs)
    .where(jobs.c.lease_state != "free", jobs.c.due_at > bindparam("now"))
)
# Note that a job was retried, once.
SET_RETRIED_AS = (
    update(jobs)
    .where(
        jobs.c.id == bindparam("at_id"),
        jobs.c.version == bindparam("at_version"),
        jobs.c.retried_as.is_(None),
    )
    .values(retried_as=bindparam("retried_as_id"), version=jobs.c.version + 1)
)
# When the next job is due.
NEXT_DUE = select(func.min(jobs.c.due_at)).where(jobs.c.due_at.is_not(None))
# Every statement that changes a job, for the test that reads the guards.
GUARDED = (
    SAVE_JOB,
    SAVE_LEASED_JOB,
    WAKE_JOB,
    CLAIM_JOBS,
    TAKE_JOB,
    RENEW_LEASE,
    LISTEN_LEASE,
    GIVE_BACK,
    END_LEASES,
    SET_RETRIED_AS,
)

# What was submitted for a job.
INPUTS = select(job_inputs.c.body).where(job_inputs.c.job_id == bindparam("job_id"))

# A job's attempts in order.
ATTEMPTS = select(attempts).where(attempts.c.job_id == bindparam("job_id")).order_by(attempts.c.number)
# The attempts of several jobs.
ATTEMPTS_OF = (
    select(attempts)
    .where(attempts.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(attempts.c.job_id, attempts.c.number)
)
# One attempt.
ATTEMPT = select(attempts).where(attempts.c.id == bindparam("attempt_id"))
# Change an attempt that is still where we think it is.
MOVE_ATTEMPT = update(attempts).where(
    attempts.c.id == bindparam("at_id"), attempts.c.state.in_(bindparam("sources", expanding=True))
)
# Keep a provider id where none is kept; the first one stands.
KEEP_RESPONSE_ID = (
    update(attempts)
    .where(attempts.c.id == bindparam("at_id"), attempts.c.provider_response_id.is_(None))
    .values(provider_response_id=bindparam("response_id"))
)
# An answer kept for later.
ANSWER = select(answers.c.body).where(answers.c.attempt_id == bindparam("attempt_id"))
# Forget a kept answer once it became outputs.
DROP_ANSWER = delete(answers).where(answers.c.attempt_id == bindparam("at_id"))

# The newest event of a job: its number and the head of its chain.
LAST_EVENT = (
    select(events.c.seq, events.c.chain)
    .where(events.c.job_id == bindparam("job_id"))
    .order_by(events.c.seq.desc())
    .limit(1)
)
# A page of a job's events.
EVENTS_AFTER = (
    select(events)
    .where(events.c.job_id == bindparam("job_id"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("n"))
)
# The changes of status and phase of several jobs, for their timing.
CHANGES_OF = (
    select(events.c.job_id, events.c.seq, events.c.at, events.c.data)
    .where(
        events.c.job_id.in_(bindparam("ids", expanding=True)),
        events.c.type.in_(bindparam("types", expanding=True)),
    )
    .order_by(events.c.job_id, events.c.seq)
)
# The newest number and time of the events of several jobs.
NEWEST_EVENTS = (
    select(events.c.job_id, func.max(events.c.seq).label("seq"), func.max(events.c.at).label("at"))
    .where(events.c.job_id.in_(bindparam("ids", expanding=True)))
    .group_by(events.c.job_id)
)
# Which checks of an attempt have finished.
CHECKS_FINISHED = select(events.c.data).where(
    events.c.job_id == bindparam("job_id"), events.c.type == "check.finished"
)
# Events that have no place in the feed yet, oldest first.
UNNUMBERED_EVENTS = (
    select(events.c.id, events.c.workspace)
    .where(events.c.feed_seq.is_(None))
    .order_by(events.c.id)
    .limit(bindparam("n"))
)
# Give an event its place in the feed.
NUMBER_EVENT = (
    update(events)
    .where(events.c.id == bindparam("at_id"), events.c.feed_seq.is_(None))
    .values(feed_seq=bindparam("number"))
)
# The newest place of a workspace's feed.
NEWEST_FEED_SEQ = select(func.max(events.c.feed_seq)).where(events.c.workspace == bindparam("workspace"))

# A job's artifacts, without their bytes.
_ARTIFACT_COLUMNS = [column for column in artifacts.c if column.name != "inline"]
ARTIFACTS = (
    select(*_ARTIFACT_COLUMNS).where(artifacts.c.job_id == bindparam("job_id")).order_by(artifacts.c.id)
)
# The artifacts of several jobs, without their bytes.
ARTIFACTS_OF = (
    select(*_ARTIFACT_COLUMNS)
    .where(artifacts.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(artifacts.c.job_id, artifacts.c.id)
)
# One artifact with its bytes, if small.
ARTIFACT = select(artifacts).where(artifacts.c.id == bindparam("artifact_id"))

# What a job's attempts cost.
COST_LINES = (
    select(cost_lines).where(cost_lines.c.job_id == bindparam("job_id")).order_by(cost_lines.c.attempt_id)
)
# What the attempts of several jobs cost.
COST_LINES_OF = (
    select(cost_lines)
    .where(cost_lines.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(cost_lines.c.attempt_id)
)
# The newest priced lines of a type, for its average.
RECENT_COSTS = (
    select(cost_lines.c.amount)
    .where(
        cost_lines.c.workspace == bindparam("workspace"),
        cost_lines.c.type == bindparam("type_name"),
        cost_lines.c.amount.is_not(None),
    )
    .order_by(cost_lines.c.booked_at.desc())
    .limit(100)
)

# How long runs of one kind took lately.
DURATIONS = select(durations.c.sample).where(
    durations.c.workspace == bindparam("workspace"),
    durations.c.type == bindparam("type_name"),
    durations.c.model == bindparam("model"),
    durations.c.lane == bindparam("lane_name"),
)
# The same for every kind of some types, newest first.
DURATIONS_OF = (
    select(durations.c.type, durations.c.lane, durations.c.sample)
    .where(
        durations.c.workspace == bindparam("workspace"),
        durations.c.type.in_(bindparam("types", expanding=True)),
    )
    .order_by(durations.c.updated_at.desc())
)

# The open review of a job.
OPEN_REVIEW = select(reviews).where(reviews.c.job_id == bindparam("job_id"), reviews.c.state == "pending")
# The newest reviews of several jobs, newest last.
REVIEWS_OF = (
    select(reviews)
    .where(reviews.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(reviews.c.job_id, reviews.c.id)
)
# One review.
REVIEW = select(reviews).where(reviews.c.id == bindparam("review_id"))
# End a review that is still open.
CLOSE_REVIEW = (
    update(reviews)
    .where(reviews.c.id == bindparam("at_id"), reviews.c.state == "pending")
    .values(state=bindparam("to_state"), closed_at=bindparam("now"))
)

# The open incident of a provider account's lane.
INCIDENT = select(lanes).where(
    lanes.c.provider_account == bindparam("account"), lanes.c.lane == bindparam("lane_name")
)
# Every open incident.
INCIDENTS = select(lanes).order_by(lanes.c.since)
# An incident is over.
CLEAR_INCIDENT = delete(lanes).where(
    lanes.c.provider_account == bindparam("account"), lanes.c.lane == bindparam("lane_name")
)

# The request that used an idempotency key before.
IDEMPOTENCY = select(idempotency_keys.c.body_hash, idempotency_keys.c.job_id).where(
    idempotency_keys.c.workspace == bindparam("workspace"),
    idempotency_keys.c.submitted_by == bindparam("submitter"),
    idempotency_keys.c.key == bindparam("used_key"),
)

# Whether anything at all can be read.
PING = text("SELECT 1")

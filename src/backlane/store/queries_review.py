"""The statements about reviews and what people decided, each named and described."""

from sqlalchemy import bindparam, select, update

from backlane.store.tables import artifacts, reviews
from backlane.store.tables_review import decisions, escalations

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
# Change a review that is still open.
CHANGE_REVIEW = update(reviews).where(reviews.c.id == bindparam("at_id"), reviews.c.state == "pending")
# Mark all that a job's draft left.
SEND_BACK_ARTIFACTS = (
    update(artifacts)
    .where(artifacts.c.job_id == bindparam("at_id"))
    .where(artifacts.c.kind.not_in(bindparam("stays", expanding=True)))
    .values(sent_back=True)
)
# What was decided on a review, oldest first.
DECISIONS = (
    select(decisions)
    .where(decisions.c.review_id == bindparam("review_id"))
    .order_by(decisions.c.at, decisions.c.id)
)
# How a job was handed on, oldest first.
ESCALATIONS = (
    select(escalations)
    .where(escalations.c.job_id == bindparam("job_id"))
    .order_by(escalations.c.at, escalations.c.id)
)

"""Every statement about people's messages, each a named constant under one line that says what it is for."""

from sqlalchemy import bindparam, insert, select, update

from backlane.store.tables_wire import messages

# What a person said to a job.
INSERT_MESSAGE = insert(messages)
# What no turn has taken up, in the order it was said.
WAITING_MESSAGES = (
    select(messages)
    .where(messages.c.job_id == bindparam("job_id"), messages.c.attempt_id.is_(None))
    .order_by(messages.c.at, messages.c.id)
)
# Let a turn take all of it up.
TAKE_MESSAGES = (
    update(messages)
    .where(messages.c.job_id == bindparam("for_job"), messages.c.attempt_id.is_(None))
    .values(attempt_id=bindparam("to_attempt"))
)

"""Every statement about the provider's signed events, each a named constant."""

from sqlalchemy import bindparam, delete, func, select, tuple_, update

from backlane.core.notice import ENDS, TYPES
from backlane.store.tables import attempts
from backlane.store.tables_wire import inbox

_IS_ROW = (
    inbox.c.provider_account == bindparam("at_account"),
    inbox.c.webhook_id == bindparam("at_webhook"),
)
# The attempt of an account that has this run.
ATTEMPT_OF_RESPONSE = (
    select(attempts)
    .where(
        attempts.c.provider_response_id == bindparam("response_id"),
        attempts.c.provider_account == bindparam("account"),
    )
    .order_by(attempts.c.planned_at.desc())
    .limit(1)
)
# Events that are to be worked on, soonest first.
DUE_NOTICES = (
    select(inbox).where(inbox.c.due_at <= bindparam("now")).order_by(inbox.c.due_at).limit(bindparam("n"))
)
# Take one, if nobody was faster: a try of its own and a time by which it must be done.
CLAIM_NOTICE = (
    update(inbox)
    .where(*_IS_ROW, inbox.c.tries == bindparam("at_tries"), inbox.c.due_at <= bindparam("now"))
    .values(tries=inbox.c.tries + 1, due_at=bindparam("until"))
)
# The end of an event, once.
SETTLE_NOTICE = (
    update(inbox)
    .where(*_IS_ROW, inbox.c.due_at.is_not(None))
    .values(state=bindparam("to_state"), note=bindparam("why"), applied_at=bindparam("now"), due_at=None)
)
# Come back to an event later.
PARK_NOTICE = (
    update(inbox)
    .where(*_IS_ROW, inbox.c.due_at.is_not(None))
    .values(
        state="parked",
        note=bindparam("why"),
        due_at=bindparam("at"),
        tries=bindparam("to_tries"),
        attempt_id=bindparam("named"),
    )
)
# Every open event is due: whoever had claimed it is dead.
FREE_NOTICES = update(inbox).where(inbox.c.due_at > bindparam("now")).values(due_at=bindparam("now"))
# When the next one is due.
NEXT_NOTICE = select(func.min(inbox.c.due_at)).where(inbox.c.due_at.is_not(None))
# When an account's newest event about a run of ours came. Others say nothing of whether our ends will be told.
NEWEST_NOTICE = select(func.max(inbox.c.received_at)).where(
    inbox.c.provider_account == bindparam("account"),
    inbox.c.received_at >= bindparam("since"),
    inbox.c.state == "applied",
)
# When the first event about a run came.
HEARD_OF = select(func.min(inbox.c.received_at)).where(
    inbox.c.provider_account == bindparam("account"), inbox.c.response_id == bindparam("response_id")
)
# When the newest event came that said that a run has ended.
TOLD_OF = select(func.max(inbox.c.received_at)).where(
    inbox.c.provider_account == bindparam("account"),
    inbox.c.response_id == bindparam("response_id"),
    inbox.c.type.in_(ENDS),
)
# Forget events that are long past; open ones stay.
_OLD = (
    select(inbox.c.provider_account, inbox.c.webhook_id)
    .where(inbox.c.received_at < bindparam("before"), inbox.c.due_at.is_(None))
    .limit(bindparam("n"))
)
DROP_NOTICES = delete(inbox).where(tuple_(inbox.c.provider_account, inbox.c.webhook_id).in_(_OLD))
# What came of each account's events.
ACCOUNTS_HEARD = (
    select(
        inbox.c.provider_account,
        inbox.c.state,
        func.count().label("events"),
        func.max(inbox.c.received_at).label("newest"),
    )
    .group_by(inbox.c.provider_account, inbox.c.state)
    .order_by(inbox.c.provider_account, inbox.c.state)
)
# The types of events that nobody here knows, the most frequent first.
UNKNOWN_TYPES = (
    select(inbox.c.type, func.count().label("events"))
    .where(inbox.c.body.is_not(None), inbox.c.type.not_in(TYPES))
    .group_by(inbox.c.type)
    .order_by(func.count().desc(), inbox.c.type)
    .limit(bindparam("n"))
)

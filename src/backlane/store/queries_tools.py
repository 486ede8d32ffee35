"""Every statement about turns and tool calls, each a named constant under one line that says what it is for."""

from sqlalchemy import bindparam, insert, select, update

from backlane.store.tables_wire import tool_calls, turns

# A call the model made; what an attempt sends beyond its job's request.
INSERT_TOOL_CALL = insert(tool_calls)
INSERT_TURN = insert(turns)
# The calls of one run, in its order.
TOOL_CALLS = (
    select(tool_calls).where(tool_calls.c.attempt_id == bindparam("attempt_id")).order_by(tool_calls.c.number)
)
# The state of each of them.
TOOL_STATES = select(tool_calls.c.state).where(tool_calls.c.attempt_id == bindparam("attempt_id"))
# Every call of a job, oldest first.
TOOL_CALLS_OF = select(tool_calls).where(tool_calls.c.job_id == bindparam("job_id")).order_by(tool_calls.c.id)
# Keep what a call is answered, once.
ANSWER_TOOL_CALL = (
    update(tool_calls)
    .where(tool_calls.c.id == bindparam("at_id"), tool_calls.c.state != "answered")
    .values(
        state="answered",
        code=bindparam("to_code"),
        output=bindparam("to_output"),
        finished_at=bindparam("now"),
    )
)
# A call whose answer was never sent waits for its action again.
REOPEN_TOOL_CALL = (
    update(tool_calls)
    .where(tool_calls.c.id == bindparam("at_id"), tool_calls.c.state == "answered")
    .values(state="proposed", code=None, output=None, finished_at=None)
)
# What one attempt sends beyond its job's request.
TURN = select(turns).where(turns.c.attempt_id == bindparam("attempt_id"))
# The same for every attempt of a job.
TURNS_OF = select(turns).where(turns.c.job_id == bindparam("job_id"))

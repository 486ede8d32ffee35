"""The statements about actions and their dispatches, each named and described."""

from sqlalchemy import bindparam, delete, insert, select, update

from backlane.store.people import keys, principals, workspaces
from backlane.store.tables import jobs
from backlane.store.tables_actions import actions, dispatches
from backlane.store.tables_wire import tool_calls

INSERT_ACTION = insert(actions)
# One row per action, for ever: a second one breaks the primary key.
INSERT_DISPATCH = insert(dispatches)
# What a run was to carry that was never sent.
WITHDRAW_DISPATCH = delete(dispatches).where(dispatches.c.action_id == bindparam("at_id"))
# A job's actions, in the order they were proposed.
ACTIONS = select(actions).where(actions.c.job_id == bindparam("job_id")).order_by(actions.c.number)
# The same for several jobs.
ACTIONS_OF = (
    select(actions)
    .where(actions.c.job_id.in_(bindparam("ids", expanding=True)))
    .order_by(actions.c.job_id, actions.c.number)
)
# One action.
ACTION = select(actions).where(actions.c.id == bindparam("action_id"))
# The dispatches of several jobs.
DISPATCHES_OF = select(dispatches).where(dispatches.c.job_id.in_(bindparam("ids", expanding=True)))
# The action that a review decides on.
ACTION_OF_REVIEW = select(actions).where(actions.c.review_id == bindparam("review_id"))
# Change an action that is still where we think it is.
MOVE_ACTION = update(actions).where(
    actions.c.id == bindparam("at_id"), actions.c.state.in_(bindparam("sources", expanding=True))
)
# Keep what the outside gave for an action; the first receipt stands.
KEEP_RECEIPT = (
    update(actions)
    .where(actions.c.id == bindparam("at_id"), actions.c.receipt.is_(None))
    .values(receipt=bindparam("to_receipt"))
)
# The dispatch of an action, and what its call said.
DISPATCH = select(dispatches).where(dispatches.c.action_id == bindparam("action_id"))
ANSWER_DISPATCH = (
    update(dispatches)
    .where(dispatches.c.action_id == bindparam("at_id"), dispatches.c.answered_at.is_(None))
    .values(
        answered_at=bindparam("now"),
        outcome=bindparam("to_outcome"),
        code=bindparam("to_code"),
        said=bindparam("to_said"),
    )
)
# A call that became an action waits for it.
CALL_PROPOSED = (
    update(tool_calls)
    .where(tool_calls.c.id == bindparam("at_id"), tool_calls.c.state == "called")
    .values(state="proposed")
)
# The roles a person or service holds by keys that are valid now.
LIVE_ROLES = (
    select(keys.c.role, principals.c.kind, keys.c.may_decide)
    .join(principals, principals.c.id == keys.c.principal_id)
    .where(
        principals.c.workspace == bindparam("workspace"),
        principals.c.name == bindparam("name"),
        keys.c.revoked_at.is_(None),
        (keys.c.expires_at.is_(None)) | (keys.c.expires_at > bindparam("now")),
    )
)
# The kill switch of a workspace.
STOPPED_AT = select(workspaces.c.actions_stopped_at).where(workspaces.c.id == bindparam("workspace"))
STOP_ACTIONS = (
    update(workspaces)
    .where(workspaces.c.id == bindparam("at_id"), workspaces.c.actions_stopped_at.is_(None))
    .values(actions_stopped_at=bindparam("now"))
)
ALLOW_ACTIONS = (
    update(workspaces)
    .where(workspaces.c.id == bindparam("at_id"), workspaces.c.actions_stopped_at.is_not(None))
    .values(actions_stopped_at=None)
)
# The jobs of a workspace whose approved actions wait: for their time, or for the run that takes them along.
WAITING_TO_ACT = select(jobs.c.id).where(
    jobs.c.workspace == bindparam("workspace"),
    ((jobs.c.status == "running") & (jobs.c.phase == "action"))
    | (
        (jobs.c.status == "queued")
        & jobs.c.id.in_(select(actions.c.job_id).where(actions.c.state == "dispatching"))
    ),
)

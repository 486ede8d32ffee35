"""The statements about workspaces, principals, keys and the audit log, each named and described."""

from sqlalchemy import bindparam, or_, select, update

from backlane.store.people import audit, keys, principals, workspaces

# A workspace by name.
WORKSPACE_BY_NAME = select(workspaces).where(workspaces.c.name == bindparam("name"))
# All workspaces.
WORKSPACES = select(workspaces).order_by(workspaces.c.id)
# A principal by name.
PRINCIPAL = select(principals).where(
    principals.c.workspace == bindparam("workspace"), principals.c.name == bindparam("name")
)
# The key with this hash, with whose it is.
KEY_BY_HASH = (
    select(
        keys.c.id, keys.c.role, keys.c.hash, keys.c.expires_at, keys.c.revoked_at, keys.c.last_used_at,
        principals.c.name, principals.c.kind, keys.c.may_decide,
        keys.c.workspace, workspaces.c.name.label("workspace_name"),
    )
    .join(principals, principals.c.id == keys.c.principal_id)
    .join(workspaces, workspaces.c.id == keys.c.workspace)
    .where(keys.c.hash == bindparam("hash"))
)  # fmt: skip
# All keys, newest last, never their secrets.
KEYS = (
    select(
        keys.c.id, keys.c.role, keys.c.hint, keys.c.created_at, keys.c.expires_at, keys.c.revoked_at,
        keys.c.last_used_at, keys.c.may_decide, principals.c.name, principals.c.kind,
        workspaces.c.name.label("workspace_name"),
    )
    .join(principals, principals.c.id == keys.c.principal_id)
    .join(workspaces, workspaces.c.id == keys.c.workspace)
    .order_by(keys.c.id)
)  # fmt: skip
# A key that still opens something, by its id, with whose it is.
LIVE_KEY = (
    select(
        keys.c.id, keys.c.role, principals.c.name, principals.c.kind, keys.c.workspace,
        workspaces.c.name.label("workspace_name"),
    )
    .join(principals, principals.c.id == keys.c.principal_id)
    .join(workspaces, workspaces.c.id == keys.c.workspace)
    .where(
        keys.c.id == bindparam("at_id"),
        keys.c.revoked_at.is_(None),
        or_(keys.c.expires_at.is_(None), keys.c.expires_at > bindparam("now")),
    )
)  # fmt: skip
# Take a key back.
REVOKE_KEY = (
    update(keys)
    .where(keys.c.id == bindparam("at_id"), keys.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now"))
)
# When a key was last used.
TOUCH_KEY = update(keys).where(keys.c.id == bindparam("at_id")).values(last_used_at=bindparam("now"))

# The row that is locked before a line is added to a workspace's audit chain.
WORKSPACE_LOCK = select(workspaces.c.id).where(workspaces.c.id == bindparam("workspace"))
# The head of a workspace's audit chain.
LAST_AUDIT = (
    select(audit.c.seq, audit.c.chain)
    .where(audit.c.workspace == bindparam("workspace"))
    .order_by(audit.c.seq.desc())
    .limit(1)
)

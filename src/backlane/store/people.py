"""Tables of who may do what: workspaces, principals, keys, the audit log."""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, String, Table, Text, UniqueConstraint

from backlane.store.columns import id_column, metadata, when_column, workspace_column

workspaces = Table(
    "workspaces",
    metadata,
    id_column(),
    Column("name", String(100), nullable=False, unique=True),
    when_column("created_at", required=True),
    when_column("actions_stopped_at", "the kill switch: nothing is dispatched while it is set"),
    comment="The walls between tenants: every other row belongs to one.",
)

principals = Table(
    "principals",
    metadata,
    id_column(),
    workspace_column(),
    Column("name", String(200), nullable=False, comment="the person's or service's name"),
    Column("kind", String(10), nullable=False, comment="person or service"),
    when_column("created_at", required=True),
    UniqueConstraint("workspace", "name"),
    comment="Persons and services; the same name in a workspace is the same person.",
)

keys = Table(
    "keys",
    metadata,
    id_column(),
    workspace_column(),
    Column("principal_id", String(64), ForeignKey("principals.id"), nullable=False),
    Column("role", String(20), nullable=False),
    Column("hash", String(64), nullable=False, unique=True, comment="sha256 of the key; never the key"),
    Column("hint", String(12), nullable=False, comment="the key's first characters, to tell keys apart"),
    Column("may_decide", Boolean, comment="a service decides reviews only with a key that says so"),
    when_column("created_at", required=True),
    when_column("expires_at"),
    when_column("revoked_at"),
    when_column("last_used_at"),
    comment="API keys, readable only as hashes.",
)

audit = Table(
    "audit",
    metadata,
    id_column(),
    workspace_column(),
    Column("seq", Integer, nullable=False),
    when_column("at", required=True),
    Column("actor", String(200), nullable=False),
    Column("action", String(60), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("data", Text, nullable=False),
    Column("chain", String(64), nullable=False),
    UniqueConstraint("workspace", "seq"),
    comment="Who did or read what, append-only and hash-chained per workspace.",
)

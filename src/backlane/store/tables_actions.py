"""The effect ledger: actions and their dispatches. Times are milliseconds since 1970 UTC, durations milliseconds."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column

actions = Table(
    "actions",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column(
        "attempt_id", String(64), ForeignKey("attempts.id"), nullable=False, comment="the run it came from"
    ),
    Column("call_row", String(64), ForeignKey("tool_calls.id"), comment="the call that it answers"),
    Column("number", Integer, nullable=False, comment="its place among the job's actions, from 1"),
    Column("type", String(200), nullable=False, comment="the action's name"),
    Column("origin", String(10), nullable=False, comment="model, mcp or type"),
    Column("target", Text, nullable=False, comment="what it acts on"),
    Column("arguments", Text, nullable=False, comment="canonical JSON, validated, defaults filled"),
    Column("content", String(80), comment="digest of what the arguments point at"),
    Column("state", String(20), nullable=False),
    Column("key", String(80), nullable=False, unique=True, comment="the same for ever; given to the outside"),
    Column(
        "payload_hash", String(80), nullable=False, comment="of the bytes that are approved and dispatched"
    ),
    Column("policy_version", String(80), nullable=False),
    when_column("expires_at", required=True),
    Column("review_id", String(64), ForeignKey("reviews.id"), comment="the newest review it had"),
    Column("undo", Integer, nullable=False, comment="how long it can be undone after its approval"),
    Column("timeout", Integer, nullable=False, comment="its hard time-out"),
    when_column("proposed_at", required=True),
    when_column("approved_at"),
    Column("approved_by", String(200), comment="who gave the last approval it needed, or policy"),
    when_column("dispatch_after", "the end of its undo delay"),
    when_column("dispatched_at"),
    Column("sender", String(64), comment="the process that carried it out"),
    when_column("unknown_at"),
    when_column("look_at", "when it is looked up (again)"),
    Column("looks", Integer, nullable=False, comment="lookups so far"),
    Column("looks_broken", Integer, nullable=False, comment="lookups in a row that broke"),
    when_column("finished_at"),
    Column("settled_by", String(20), comment="receipt, lookup, provider or person"),
    Column("code", String(100), comment="why it did not happen, or is not known"),
    Column("receipt", Text, comment="JSON: what the outside gave for it; the first one stands"),
    UniqueConstraint("job_id", "number"),
    comment="Every external action that was proposed, and what became of it.",
)

dispatches = Table(
    "dispatches",
    metadata,
    Column("action_id", String(64), ForeignKey("actions.id"), nullable=False),
    workspace_column(),
    job_column(),
    Column(
        "review_id", String(64), ForeignKey("reviews.id"), comment="the approval that was spent; null: policy"
    ),
    Column("key", String(80), nullable=False),
    Column("payload_hash", String(80), nullable=False, comment="recomputed from the row as it was sent"),
    Column("arguments", Text, nullable=False, comment="the bytes that were sent"),
    Column("sender", String(64), nullable=False),
    Column("timeout", Integer, nullable=False),
    when_column("at", "committed before the call", required=True),
    when_column("answered_at"),
    Column("outcome", String(20), comment="what the call itself said: succeeded, failed or unknown"),
    Column("code", String(100)),
    Column("said", Text, comment="the action's own words, where it surely failed"),
    # An action is dispatched once, for ever: the database itself refuses a second time.
    PrimaryKeyConstraint("action_id"),
    Index("ix_dispatches_job_id", "job_id"),
    comment="One row each, committed before the outside is called; there is never a second one.",
)

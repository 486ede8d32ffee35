"""The effect ledger: external actions and their dispatches; the kill switch of a workspace."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _actions()
    _dispatches()
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "actions_stopped_at",
                sa.BigInteger(),
                nullable=True,
                comment="the kill switch: nothing is dispatched while it is set",
            )
        )


def _what() -> list[sa.Column[Any]]:
    """What is to be done, and under which approval."""
    return [
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt_id", sa.String(length=64), nullable=False, comment="the run it came from"),
        sa.Column("call_row", sa.String(length=64), nullable=True, comment="the call that it answers"),
        sa.Column(
            "number", sa.Integer(), nullable=False, comment="its place among the job's actions, from 1"
        ),
        sa.Column("type", sa.String(length=200), nullable=False, comment="the action's name"),
        sa.Column("origin", sa.String(length=10), nullable=False, comment="model, mcp or type"),
        sa.Column("target", sa.Text(), nullable=False, comment="what it acts on"),
        sa.Column(
            "arguments", sa.Text(), nullable=False, comment="canonical JSON, validated, defaults filled"
        ),
        sa.Column(
            "content", sa.String(length=80), nullable=True, comment="digest of what the arguments point at"
        ),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column(
            "key", sa.String(length=80), nullable=False, comment="the same for ever; given to the outside"
        ),
        sa.Column(
            "payload_hash",
            sa.String(length=80),
            nullable=False,
            comment="of the bytes that are approved and dispatched",
        ),
        sa.Column("policy_version", sa.String(length=80), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("review_id", sa.String(length=64), nullable=True, comment="the newest review it had"),
        sa.Column(
            "undo", sa.Integer(), nullable=False, comment="how long it can be undone after its approval"
        ),
        sa.Column("timeout", sa.Integer(), nullable=False, comment="its hard time-out"),
    ]


def _when() -> list[sa.Column[Any]]:
    """How far it has come."""
    return [
        sa.Column("proposed_at", sa.BigInteger(), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "approved_by",
            sa.String(length=200),
            nullable=True,
            comment="who gave the last approval it needed, or policy",
        ),
        sa.Column("dispatch_after", sa.BigInteger(), nullable=True, comment="the end of its undo delay"),
        sa.Column("dispatched_at", sa.BigInteger(), nullable=True),
        sa.Column("sender", sa.String(length=64), nullable=True, comment="the process that carried it out"),
        sa.Column("unknown_at", sa.BigInteger(), nullable=True),
        sa.Column("look_at", sa.BigInteger(), nullable=True, comment="when it is looked up (again)"),
        sa.Column("looks", sa.Integer(), nullable=False, comment="lookups so far"),
        sa.Column("looks_broken", sa.Integer(), nullable=False, comment="lookups in a row that broke"),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "settled_by", sa.String(length=20), nullable=True, comment="receipt, lookup, provider or person"
        ),
        sa.Column(
            "code", sa.String(length=100), nullable=True, comment="why it did not happen, or is not known"
        ),
        sa.Column(
            "receipt",
            sa.Text(),
            nullable=True,
            comment="JSON: what the outside gave for it; the first one stands",
        ),
    ]


def _actions() -> None:
    op.create_table(
        "actions",
        *_what(),
        *_when(),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_actions_workspace")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_actions_job_id")),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_actions_attempt_id")),
        sa.ForeignKeyConstraint(["call_row"], ["tool_calls.id"], name=op.f("fk_actions_call_row")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_actions_review_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_actions")),
        sa.UniqueConstraint("key", name=op.f("uq_actions_key")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_actions_job_id_number")),
        comment="Every external action that was proposed, and what became of it.",
    )


def _dispatches() -> None:
    op.create_table(
        "dispatches",
        sa.Column("action_id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column(
            "review_id",
            sa.String(length=64),
            nullable=True,
            comment="the approval that was spent; null: policy",
        ),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column(
            "payload_hash",
            sa.String(length=80),
            nullable=False,
            comment="recomputed from the row as it was sent",
        ),
        sa.Column("arguments", sa.Text(), nullable=False, comment="the bytes that were sent"),
        sa.Column("sender", sa.String(length=64), nullable=False),
        sa.Column("timeout", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="committed before the call"),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "outcome",
            sa.String(length=20),
            nullable=True,
            comment="what the call itself said: succeeded, failed or unknown",
        ),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column(
            "said",
            sa.Text(),
            nullable=True,
            comment="the action's own words, where it surely failed",
        ),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"], name=op.f("fk_dispatches_action_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_dispatches_workspace")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_dispatches_job_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_dispatches_review_id")),
        sa.PrimaryKeyConstraint("action_id", name=op.f("pk_dispatches")),
        comment="One row each, committed before the outside is called; there is never a second one.",
    )
    with op.batch_alter_table("dispatches", schema=None) as batch_op:
        batch_op.create_index("ix_dispatches_job_id", ["job_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("workspaces", schema=None) as batch_op:
        batch_op.drop_column("actions_stopped_at")
    for name in ("dispatches", "actions"):
        op.drop_table(name)

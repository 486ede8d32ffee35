"""People and jobs."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, in the order they refer to each other."""
    _lanes()
    _workspaces()
    _audit()
    _jobs()
    _principals()
    _idempotency_keys()
    _job_inputs()
    _keys()


def _lanes() -> None:
    op.create_table(
        "lanes",
        sa.Column("provider_account", sa.String(length=100), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("code", sa.String(length=100), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("probe_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("provider_account", "lane", name=op.f("pk_lanes")),
        comment="Open incidents: what a person must mend at a provider account or in the loaded job types.",
    )


def _workspaces() -> None:
    op.create_table(
        "workspaces",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
        sa.UniqueConstraint("name", name=op.f("uq_workspaces_name")),
        comment="The walls between tenants: every other row belongs to one.",
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("chain", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_audit_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sa.UniqueConstraint("workspace", "seq", name=op.f("uq_audit_workspace_seq")),
        comment="Who did or read what, append-only and hash-chained per workspace.",
    )


def _jobs() -> None:
    op.create_table(
        "jobs",
        *_job_identity(),
        *_job_progress(),
        *_job_history(),
        sa.CheckConstraint(
            "(phase IS NULL) = (finished_at IS NOT NULL)", name=op.f("ck_jobs_phase_until_the_end")
        ),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_jobs_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        comment="The record of a job: the row is the truth.",
    )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_jobs_due",
            ["due_at"],
            unique=False,
            postgresql_where=sa.text("due_at IS NOT NULL"),
            sqlite_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.create_index("ix_jobs_newest", ["workspace", "created_at", "id"], unique=False)
        batch_op.create_index("ix_jobs_response", ["provider_response_id"], unique=False)
        batch_op.create_index("ix_jobs_status", ["workspace", "status", "created_at"], unique=False)
        batch_op.create_index("ix_jobs_submitter", ["workspace", "submitted_by", "created_at"], unique=False)


def _job_identity() -> list[sa.Column[Any]]:
    """Whose it is and what it is."""
    return [
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column(
            "submitted_by",
            sa.String(length=200),
            nullable=False,
            comment="the person or service whose key submitted it",
        ),
        sa.Column("user", sa.String(length=200), nullable=True, comment="for whom the product submitted it"),
        sa.Column(
            "account", sa.String(length=200), nullable=True, comment="the product's own customer reference"
        ),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("type_version", sa.String(length=64), nullable=False),
        sa.Column("authority", sa.String(length=20), nullable=False),
        sa.Column(
            "summary", sa.Text(), nullable=False, comment="the submitted-inputs summary support may see"
        ),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("phase", sa.String(length=20), nullable=True),
        sa.Column("phase_since", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="guards every write"),
        sa.Column("lease_no", sa.Integer(), nullable=False, comment="fences workers"),
        sa.Column(
            "lease_state",
            sa.String(length=12),
            nullable=False,
            comment="free, held, progressed (held, with a commit), or listening (to a live stream)",
        ),
    ]


def _job_progress() -> list[sa.Column[Any]]:
    """Where it stands and who works on it."""
    return [
        sa.Column(
            "leases_lost", sa.Integer(), nullable=False, comment="leases lost in a row without a commit"
        ),
        sa.Column("due_at", sa.BigInteger(), nullable=True, comment="when a worker should look again"),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("window", sa.String(length=10), nullable=False),
        sa.Column("provider", sa.String(length=40), nullable=False),
        sa.Column("provider_account", sa.String(length=100), nullable=False),
        sa.Column(
            "provider_response_id",
            sa.String(length=200),
            nullable=True,
            comment="of the newest accepted attempt",
        ),
        sa.Column(
            "gate",
            sa.String(length=20),
            nullable=False,
            comment="decided at submit: none, output or sensitive",
        ),
        sa.Column("review_state", sa.String(length=20), nullable=False),
        sa.Column(
            "inputs_digest", sa.String(length=64), nullable=False, comment="sha256 of the stored inputs"
        ),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("wait_until", sa.BigInteger(), nullable=True, comment="no attempt is made before"),
        sa.Column("useful_until", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("max_cost", sa.String(length=40), nullable=True),
    ]


def _job_history() -> list[sa.Column[Any]]:
    """What it ended as and what it belongs to."""
    return [
        sa.Column("tries", sa.Integer(), nullable=False, comment="refused or unsent creates in a row"),
        sa.Column(
            "ends_as",
            sa.String(length=20),
            nullable=True,
            comment="canceled or expired, whichever was asked first",
        ),
        sa.Column("cancel_asked_at", sa.BigInteger(), nullable=True),
        sa.Column(
            "failure",
            sa.JSON(none_as_null=True),
            nullable=True,
            comment="cause, code, sentence and the four answers",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("group_id", sa.String(length=64), nullable=True),
        sa.Column("retry_of", sa.String(length=64), nullable=True),
        sa.Column("retried_as", sa.String(length=64), nullable=True),
        sa.Column("continues", sa.String(length=64), nullable=True),
        sa.Column("case_id", sa.String(length=64), nullable=True),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("lane_reasons", sa.JSON(), nullable=False),
    ]


def _principals() -> None:
    op.create_table(
        "principals",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("name", sa.String(length=200), nullable=False, comment="the person's or service's name"),
        sa.Column("kind", sa.String(length=10), nullable=False, comment="person or service"),
        sa.Column(
            "may_decide", sa.Boolean(), nullable=False, comment="a service may decide reviews only if true"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_principals_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("workspace", "name", name=op.f("uq_principals_workspace_name")),
        comment="Persons and services; the same name in a workspace is the same person.",
    )


def _idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("submitted_by", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=255), nullable=False),
        sa.Column("body_hash", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_idempotency_keys_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_idempotency_keys_workspace")),
        sa.PrimaryKeyConstraint("workspace", "submitted_by", "key", name=op.f("pk_idempotency_keys")),
        comment="Which request made which job, so that a second click makes no second job.",
    )


def _job_inputs() -> None:
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False, comment="the inputs as JSON, stored once, never copied"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_inputs_job_id")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_inputs")),
        comment="What was submitted.",
    )


def _keys() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("principal_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False, comment="sha256 of the key; never the key"),
        sa.Column(
            "hint",
            sa.String(length=12),
            nullable=False,
            comment="the key's first characters, to tell keys apart",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_keys_principal_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_keys_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("hash", name=op.f("uq_keys_hash")),
        comment="API keys, readable only as hashes.",
    )

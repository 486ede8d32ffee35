"""What belongs to a job: attempts, events, outputs, reviews, costs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, in the order they refer to each other."""
    _attempts()
    _events()
    _reviews()
    _answers()
    _artifacts()
    _cost_lines()


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("provider_account", sa.String(length=100), nullable=False),
        sa.Column("provider_response_id", sa.String(length=200), nullable=True),
        sa.Column(
            "provider_status",
            sa.String(length=40),
            nullable=True,
            comment="the provider's own word, last seen",
        ),
        sa.Column("model", sa.String(length=200), nullable=True),
        sa.Column("sender", sa.String(length=64), nullable=True, comment="the worker process that sent it"),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("unknown_at", sa.BigInteger(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=True),
        sa.Column("looked_at", sa.BigInteger(), nullable=True),
        sa.Column("look_at", sa.BigInteger(), nullable=True, comment="when the next look is due"),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("cancel_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("code", sa.String(length=100), nullable=True),
        sa.Column("usage", sa.JSON(none_as_null=True), nullable=True, comment="as the provider reported it"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_attempts_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_attempts_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempts")),
        sa.UniqueConstraint("job_id", "number", name=op.f("uq_attempts_job_id_number")),
        comment="One purchase each: the intent first, then what became of it.",
    )
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.create_index("ix_attempts_response", ["provider_response_id"], unique=False)


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=True, comment="1, 2, 3 … per job, no gaps"),
        sa.Column(
            "feed_seq", sa.BigInteger(), nullable=True, comment="the workspace's feed, in commit order"
        ),
        sa.Column("type", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("data", sa.Text(), nullable=True, comment="the payload; retention may remove it"),
        sa.Column(
            "digest", sa.String(length=64), nullable=False, comment="sha256 of the payload in canonical JSON"
        ),
        sa.Column(
            "chain",
            sa.String(length=64),
            nullable=False,
            comment="sha256 over the former chain and this event",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_events_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_events_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("job_id", "seq", name=op.f("uq_events_job_id_seq")),
        sa.UniqueConstraint("workspace", "feed_seq", name=op.f("uq_events_workspace_feed_seq")),
        comment="What happened, append-only and hash-chained per job.",
    )


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False, comment="canonical JSON of what is decided on"),
        sa.Column("payload_hash", sa.String(length=80), nullable=False),
        sa.Column("respond_by", sa.BigInteger(), nullable=True),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reviews_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_reviews_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reviews")),
        comment="What a person has to decide.",
    )
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.create_index("ix_reviews_job_id", ["job_id"], unique=False)
        batch_op.create_index(
            "uq_reviews_open",
            ["job_id"],
            unique=True,
            postgresql_where=sa.text("state = 'pending'"),
            sqlite_where=sa.text("state = 'pending'"),
        )


def _answers() -> None:
    op.create_table(
        "answers",
        sa.Column("attempt_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_answers_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_answers_job_id")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_answers")),
        comment="A finished run's answer that nobody could turn into outputs yet.",
    )


def _artifacts() -> None:
    op.create_table(
        "artifacts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt_id", sa.String(length=64), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False, comment="a label, never a path"),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False, comment="the content's address"),
        sa.Column(
            "inline",
            sa.LargeBinary(),
            nullable=True,
            comment="small contents lie here, larger ones in the artifact store",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_artifacts_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_artifacts_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_artifacts_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_artifacts")),
        comment="Results, evidence, partials and reports.",
    )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.create_index("ix_artifacts_job_id", ["job_id"], unique=False)


def _cost_lines() -> None:
    op.create_table(
        "cost_lines",
        sa.Column("attempt_id", sa.String(length=64), nullable=False, comment="booked once"),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=True, comment="null: unpriced, never zero"),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("booked_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_cost_lines_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_cost_lines_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_cost_lines_workspace")),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_cost_lines")),
        comment="What each attempt cost, from its terminal object.",
    )
    with op.batch_alter_table("cost_lines", schema=None) as batch_op:
        batch_op.create_index("ix_cost_lines_job_id", ["job_id"], unique=False)
        batch_op.create_index("ix_cost_lines_type", ["workspace", "type"], unique=False)

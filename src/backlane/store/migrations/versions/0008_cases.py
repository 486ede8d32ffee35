"""Cases that a person looks after, and notes on jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _cases()
    _notes()


def _cases() -> None:
    op.create_table(
        "cases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False, comment="open or closed"),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it was opened"),
        sa.Column(
            "cause", sa.String(length=20), nullable=True, comment="the failure's cause when it was opened"
        ),
        sa.Column(
            "code", sa.String(length=100), nullable=True, comment="the failure's code when it was opened"
        ),
        sa.Column("failure", sa.Text(), nullable=True, comment="what went wrong, in plain words"),
        sa.Column("owner", sa.String(length=200), nullable=True, comment="who looks after it"),
        sa.Column("promise", sa.Text(), nullable=True, comment="what was promised to whoever asked"),
        sa.Column("promise_by", sa.BigInteger(), nullable=True, comment="until when"),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(length=200), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_cases_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_cases_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cases")),
        comment="What a person looks after; a job has at most one open at a time.",
    )
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.create_index("ix_cases_job_id", ["job_id"], unique=False)
        batch_op.create_index("ix_cases_state", ["workspace", "state", "id"], unique=False)
        batch_op.create_index(
            "uq_cases_open",
            ["job_id"],
            unique=True,
            postgresql_where=sa.text("state = 'open'"),
            sqlite_where=sa.text("state = 'open'"),
        )


def _notes() -> None:
    op.create_table(
        "notes",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=64), nullable=True, comment="the case that was open then"),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("for_requester", sa.Boolean(), nullable=False, comment="whether the requester may read it"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"], name=op.f("fk_notes_case_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_notes_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_notes_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notes")),
        comment="What people noted about a job, append-only.",
    )
    with op.batch_alter_table("notes", schema=None) as batch_op:
        batch_op.create_index("ix_notes_job_id", ["job_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for name in ("notes", "cases"):
        op.drop_table(name)

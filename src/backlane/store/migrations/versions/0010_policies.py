"""What is drawn for review, what policies said, and jobs that are marked sensitive while they run."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _jobs()
    _draws()
    _verdicts()


def _jobs() -> None:
    if op.get_bind().dialect.supports_comments:
        op.alter_column(
            "jobs",
            "gate",
            existing_type=sa.String(length=20),
            existing_nullable=False,
            comment="none, policy, sampled, output or sensitive",
            existing_comment="decided at submit: none, output or sensitive",
        )
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "sensitive",
                sa.String(length=20),
                nullable=True,
                comment="what made it so: field, hook, submit, person, or the former job's",
            )
        )
        batch_op.add_column(
            sa.Column(
                "closed_from",
                sa.Integer(),
                nullable=True,
                comment="events from this number on are behind a gate that was closed later",
            )
        )
    op.execute("UPDATE jobs SET sensitive = 'field' WHERE gate = 'sensitive'")


def _draws() -> None:
    op.create_table(
        "policy_draws",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("rate", sa.Float(), nullable=False, comment="which part of the type's jobs is drawn"),
        sa.Column(
            "value",
            sa.Float(),
            nullable=False,
            comment="from the service's secret and an id, from 0 to below 1",
        ),
        sa.Column("drawn", sa.Boolean(), nullable=False, comment="whether a person looks at it"),
        sa.Column(
            "drawn_for",
            sa.String(length=64),
            nullable=False,
            comment="the job it was made for; a retry keeps its draw",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="made at submit, never again"),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_policy_draws_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_policy_draws_workspace")),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_policy_draws")),
        comment="The sampled review: one draw for each job of a sampled type.",
    )


def _verdicts() -> None:
    op.create_table(
        "policy_verdicts",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("over", sa.String(length=10), nullable=False, comment="action or output"),
        sa.Column("action_id", sa.String(length=64), nullable=True),
        sa.Column("artifact_id", sa.String(length=64), nullable=True, comment="the result that was judged"),
        sa.Column(
            "payload_hash",
            sa.String(length=80),
            nullable=False,
            comment="of exactly the bytes that were judged",
        ),
        sa.Column(
            "version",
            sa.String(length=80),
            nullable=False,
            comment="a hash of the content of all that had a say",
        ),
        sa.Column(
            "answer", sa.String(length=10), nullable=False, comment="allow, review or refuse: the strictest"
        ),
        sa.Column(
            "sensitive", sa.Boolean(), nullable=False, comment="whether the type's hook found it sensitive"
        ),
        sa.Column("policy", sa.String(length=200), nullable=False, comment="the function whose answer it is"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("quorum", sa.Integer(), nullable=True, comment="how many approvals it asked for"),
        sa.Column("role", sa.String(length=20), nullable=True, comment="whose review it asked for"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_policy_verdicts_workspace")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_policy_verdicts_job_id")),
        sa.ForeignKeyConstraint(["action_id"], ["actions.id"], name=op.f("fk_policy_verdicts_action_id")),
        sa.ForeignKeyConstraint(
            ["artifact_id"], ["artifacts.id"], name=op.f("fk_policy_verdicts_artifact_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_verdicts")),
        comment="What policies said about actions and outputs, append-only.",
    )
    with op.batch_alter_table("policy_verdicts", schema=None) as batch_op:
        batch_op.create_index("ix_policy_verdicts_job_id", ["job_id"], unique=False)


def downgrade() -> None:
    """Drop them."""
    for name in ("policy_verdicts", "policy_draws"):
        op.drop_table(name)
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("closed_from")
        batch_op.drop_column("sensitive")

"""Who decided what on which bytes, and reviews handed on; reviews that are claimed, edited and escalated."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them."""
    _decisions()
    _escalations()
    _artifacts()
    _jobs()
    _reviews()


def _decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("review_id", sa.String(length=64), nullable=False),
        sa.Column(
            "version",
            sa.Integer(),
            nullable=False,
            comment="which version of the payload was decided on, from 1",
        ),
        sa.Column(
            "payload_hash", sa.String(length=80), nullable=False, comment="the hash of exactly what was shown"
        ),
        sa.Column(
            "decision", sa.String(length=20), nullable=False, comment="approve, reject or request_changes"
        ),
        sa.Column("actor", sa.String(length=200), nullable=False, comment="the person, from the credential"),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("reason_code", sa.String(length=40), nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column(
            "for_requester",
            sa.Boolean(),
            nullable=False,
            comment="whether the notes are released with the decision",
        ),
        sa.Column(
            "edited", sa.Boolean(), nullable=False, comment="whether this decision brought a new version"
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_decisions_job_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_decisions_review_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_decisions_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_decisions")),
        sa.UniqueConstraint(
            "review_id", "version", "actor", name=op.f("uq_decisions_review_id_version_actor")
        ),
        comment="Who decided what on which bytes, append-only; one person counts once per version.",
    )
    with op.batch_alter_table("decisions", schema=None) as batch_op:
        batch_op.create_index("ix_decisions_job_id", ["job_id"], unique=False)


def _escalations() -> None:
    op.create_table(
        "escalations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("review_id", sa.String(length=64), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("from_role", sa.String(length=20), nullable=True),
        sa.Column("to_role", sa.String(length=20), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_escalations_job_id")),
        sa.ForeignKeyConstraint(["review_id"], ["reviews.id"], name=op.f("fk_escalations_review_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_escalations_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_escalations")),
        comment="Reviews and jobs handed on, by a person or because nobody answered in time.",
    )
    with op.batch_alter_table("escalations", schema=None) as batch_op:
        batch_op.create_index("ix_escalations_job_id", ["job_id"], unique=False)


def _artifacts() -> None:
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "edited_by",
                sa.String(length=200),
                nullable=True,
                comment="the reviewer who wrote this version",
            )
        )


def _jobs() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "released",
                sa.String(length=10),
                nullable=True,
                comment="what a gated job's review released: whole, or edited only",
            )
        )


def _reviews() -> None:
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "version",
                sa.Integer(),
                server_default="1",
                nullable=False,
                comment="rises with each edit of the payload",
            )
        )
        batch_op.add_column(
            sa.Column(
                "separate",
                sa.Boolean(),
                server_default=sa.true(),
                nullable=False,
                comment="the requester may not decide",
            )
        )
        batch_op.add_column(
            sa.Column(
                "step", sa.Integer(), server_default="0", nullable=False, comment="how often it was handed on"
            )
        )
        batch_op.add_column(
            sa.Column(
                "claimed_by", sa.String(length=200), nullable=True, comment="who is looking at it; a courtesy"
            )
        )
        batch_op.add_column(sa.Column("claimed_until", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.drop_column("edited_by")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("released")
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_column("version")
        batch_op.drop_column("separate")
        batch_op.drop_column("step")
        batch_op.drop_column("claimed_by")
        batch_op.drop_column("claimed_until")
    for name in ("escalations", "decisions"):
        op.drop_table(name)

"""How long runs of a type, model and lane took lately."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "durations",
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column(
            "sample", sa.JSON(), nullable=False, comment="the newest runs' lengths, milliseconds, at most 200"
        ),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_durations_workspace")),
        sa.PrimaryKeyConstraint("workspace", "type", "model", "lane", name=op.f("pk_durations")),
        comment="How long runs of a type, model and lane took lately.",
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("durations")

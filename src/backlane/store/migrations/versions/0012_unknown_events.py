"""Events of live streams whose type nobody here knows."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "unknown_events",
        sa.Column("attempt_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="its place among the attempt's, from 1"),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON, as it came"),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_unknown_events_attempt_id")),
        sa.PrimaryKeyConstraint("attempt_id", "number", name=op.f("pk_unknown_events")),
        comment="Events of live streams whose type nobody here knows, until the run's artifacts are written.",
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("unknown_events")

"""When a reviewer sent the newest draft back: what was written until then stays closed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the moment."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "sent_back_at",
                sa.BigInteger(),
                nullable=True,
                comment="a reviewer asked for changes: what was written until then stays closed",
            )
        )


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("sent_back_at")

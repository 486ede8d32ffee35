"""What a reviewer sent back: which artifacts belong to such a draft, and up to which event it stays closed."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both."""
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "sent_back_seq",
                sa.Integer(),
                nullable=True,
                comment="the event with which a reviewer asked for changes: up to it all stays closed",
            )
        )
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "sent_back",
                sa.Boolean(),
                server_default=sa.false(),
                nullable=False,
                comment="it belongs to a draft that a reviewer sent back",
            )
        )


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("artifacts", schema=None) as batch_op:
        batch_op.drop_column("sent_back")
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_column("sent_back_seq")

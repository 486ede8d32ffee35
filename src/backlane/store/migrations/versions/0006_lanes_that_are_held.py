"""An incident knows how often it was tried, what found it, and who holds it."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    with op.batch_alter_table("lanes", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "probes",
                sa.Integer(),
                server_default="0",
                nullable=False,
                comment="runs that were sent to see whether it is over",
            )
        )
        batch_op.add_column(
            sa.Column(
                "found_by",
                sa.String(length=10),
                server_default="create",
                nullable=False,
                comment="create or look: a good call of this kind ends it",
            )
        )
        batch_op.add_column(
            sa.Column(
                "held_by", sa.String(length=200), nullable=True, comment="the person who holds the lane"
            )
        )


def downgrade() -> None:
    """Drop them."""
    with op.batch_alter_table("lanes", schema=None) as batch_op:
        batch_op.drop_column("held_by")
        batch_op.drop_column("found_by")
        batch_op.drop_column("probes")

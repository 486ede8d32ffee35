"""The bodies of signed events whose type nobody here knows."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "body",
                sa.Text(),
                nullable=True,
                comment="as it was sent, or its beginning, where nobody here knows the type",
            )
        )


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        batch_op.drop_column("body")

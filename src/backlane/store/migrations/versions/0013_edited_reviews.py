"""What a review showed before it was edited, so that the change can be shown."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_COMMENT = "what was decided on before the first edit"


def upgrade() -> None:
    """Add the column."""
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.add_column(sa.Column("former_payload", sa.Text(), nullable=True, comment=_COMMENT))


def downgrade() -> None:
    """Drop it."""
    with op.batch_alter_table("reviews", schema=None) as batch_op:
        batch_op.drop_column("former_payload")

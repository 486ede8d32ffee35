"""Which version of each type's policies was loaded last."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "policy_versions",
        sa.Column("workspace", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("over", sa.String(length=10), nullable=False, comment="action or output"),
        sa.Column("version", sa.String(length=80), comment="empty where no policy has a say any more"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="when a service that had it loaded started"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_policy_versions_workspace")),
        sa.PrimaryKeyConstraint("workspace", "type", "over", name=op.f("pk_policy_versions")),
        comment="Which version of each type's policies was loaded last.",
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("policy_versions")

"""Which version of each type's policies was loaded last; and which keys of services may decide reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; the right to decide belongs to a key, no more to all of a service's keys. None had it."""
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
    op.add_column(
        "keys",
        sa.Column(
            "may_decide", sa.Boolean(), comment="a service decides reviews only with a key that says so"
        ),
    )
    op.drop_column("principals", "may_decide")


def downgrade() -> None:
    """Drop the table, and let persons decide, services not."""
    op.add_column(
        "principals",
        sa.Column(
            "may_decide",
            sa.Boolean(),
            nullable=False,
            server_default=sa.false(),
            comment="a service may decide reviews only if true",
        ),
    )
    op.execute("UPDATE principals SET may_decide = (kind <> 'service')")
    op.drop_column("keys", "may_decide")
    op.drop_table("policy_versions")

"""Hard budgets: what a workspace, an account or a job type may spend, and what runs have reserved of it."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and the budget that a job waits for."""
    op.add_column("jobs", sa.Column("budget", sa.String(length=220), comment="the budget it waits for"))
    op.create_table(
        "budgets",
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("scope", sa.String(length=10), nullable=False, comment="workspace, account or type"),
        sa.Column(
            "name",
            sa.String(length=200),
            nullable=False,
            comment="which account or type; empty for the workspace",
        ),
        sa.Column("period", sa.String(length=10), nullable=False, comment="day, month or total, in UTC"),
        sa.Column("limit", sa.String(length=40), comment="US dollars; null: it was removed"),
        sa.Column(
            "assume",
            sa.String(length=40),
            nullable=False,
            comment="what a run reserves if its job has no max_cost",
        ),
        sa.Column("since", sa.BigInteger(), nullable=False, comment="when it began to hold"),
        sa.Column(
            "spent",
            sa.String(length=40),
            nullable=False,
            comment="the priced cost lines booked since spent_since",
        ),
        sa.Column(
            "spent_since",
            sa.BigInteger(),
            nullable=False,
            comment="the start of the period that spent counts",
        ),
        sa.Column(
            "places",
            sa.Integer(),
            nullable=False,
            comment="how often something was reserved, freed or changed",
        ),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_budgets_workspace")),
        sa.PrimaryKeyConstraint("workspace", "scope", "name", name=op.f("pk_budgets")),
        comment="Hard caps on what a workspace, an account or a job type may spend.",
    )
    _reservations()


def _reservations() -> None:
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt_id", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.String(length=40), nullable=False, comment="US dollars"),
        sa.Column("place", sa.Integer(), nullable=False, comment="its place among its budget's changes"),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="committed with the attempt's sending"),
        sa.Column(
            "freed_at",
            sa.BigInteger(),
            comment="when its cost was booked, or it was known as not bought",
        ),
        sa.Column("freed_place", sa.Integer()),
        sa.Column(
            "unpriced_at",
            sa.BigInteger(),
            comment="when its cost was booked as unknown: it counts until the period ends",
        ),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_reservations_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_reservations_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_reservations_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reservations")),
        comment="What runs that were sent may still cost, held against each budget that they count for.",
    )
    op.create_index("ix_reservations_job_id", "reservations", ["job_id"])
    is_open = sa.text("freed_at IS NULL")
    op.create_index(
        "ix_reservations_open",
        "reservations",
        ["workspace", "scope", "name"],
        postgresql_where=is_open,
        sqlite_where=is_open,
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("reservations")
    op.drop_table("budgets")
    op.drop_column("jobs", "budget")

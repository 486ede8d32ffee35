"""The tables of budgets: what may be spent, and what runs that are out have reserved of it."""

from sqlalchemy import Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, String, Table, text

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column

budgets = Table(
    "budgets",
    metadata,
    workspace_column(),
    Column("scope", String(10), nullable=False, comment="workspace, account or type"),
    Column("name", String(200), nullable=False, comment="which account or type; empty for the workspace"),
    Column("period", String(10), nullable=False, comment="day, month or total, in UTC"),
    Column("limit", String(40), comment="US dollars; null: it was removed"),
    Column("assume", String(40), nullable=False, comment="what a run reserves if its job has no max_cost"),
    when_column("since", "when it began to hold", required=True),
    Column("spent", String(40), nullable=False, comment="the priced cost lines booked since spent_since"),
    when_column("spent_since", "the start of the period that spent counts", required=True),
    Column("places", Integer, nullable=False, comment="how often something was reserved, freed or changed"),
    when_column("updated_at", required=True),
    Column("updated_by", String(200), nullable=False),
    PrimaryKeyConstraint("workspace", "scope", "name"),
    comment="Hard caps on what a workspace, an account or a job type may spend.",
)

reservations = Table(
    "reservations",
    metadata,
    id_column(),
    workspace_column(),
    Column("scope", String(10), nullable=False),
    Column("name", String(200), nullable=False),
    job_column(),
    Column("attempt_id", String(64), ForeignKey("attempts.id"), nullable=False),
    Column("amount", String(40), nullable=False, comment="US dollars"),
    Column("place", Integer, nullable=False, comment="its place among its budget's changes"),
    when_column("at", "committed with the attempt's sending", required=True),
    when_column("freed_at", "when its cost was booked, or it was known as not bought"),
    Column("freed_place", Integer),
    when_column("unpriced_at", "when its cost was booked as unknown: it counts until the period ends"),
    Index("ix_reservations_job_id", "job_id"),
    Index(
        "ix_reservations_open",
        "workspace",
        "scope",
        "name",
        postgresql_where=text("freed_at IS NULL"),
        sqlite_where=text("freed_at IS NULL"),
    ),
    comment="What runs that were sent may still cost, held against each budget that they count for.",
)

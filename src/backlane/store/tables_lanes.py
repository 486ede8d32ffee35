"""The tables of lanes: what holds them, and how long runs on them take."""

from sqlalchemy import JSON, Column, Integer, PrimaryKeyConstraint, String, Table, Text

from backlane.store.columns import metadata, when_column, workspace_column

lanes = Table(
    "lanes",
    metadata,
    Column("provider_account", String(100), nullable=False),
    Column("lane", String(20), nullable=False),
    Column("code", String(100), nullable=False),
    Column("message", Text, nullable=False),
    when_column("since", required=True),
    when_column("probe_at", required=True),
    Column(
        "probes",
        Integer,
        nullable=False,
        server_default="0",
        comment="runs that were sent to see whether it is over",
    ),
    Column(
        "found_by",
        String(10),
        nullable=False,
        server_default="create",
        comment="create or look: a good call of this kind ends it",
    ),
    Column("held_by", String(200), comment="the person who holds the lane"),
    PrimaryKeyConstraint("provider_account", "lane"),
    comment="Open incidents: what a person must mend at a provider account or in the loaded job types.",
)

durations = Table(
    "durations",
    metadata,
    workspace_column(),
    Column("type", String(100), nullable=False),
    Column("model", String(200), nullable=False),
    Column("lane", String(20), nullable=False),
    Column("sample", JSON, nullable=False, comment="the newest runs' lengths, milliseconds, at most 200"),
    when_column("updated_at", required=True),
    PrimaryKeyConstraint("workspace", "type", "model", "lane"),
    comment="How long runs of a type, model and lane took lately.",
)

"""The tables of what people look after: cases, and notes on jobs and cases. Times are milliseconds since 1970."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, String, Table, Text, text

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column

cases = Table(
    "cases",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("state", String(10), nullable=False, comment="open or closed"),
    Column("reason", Text, nullable=False, comment="why it was opened"),
    Column("cause", String(20), comment="the failure's cause when it was opened"),
    Column("code", String(100), comment="the failure's code when it was opened"),
    Column("failure", Text, comment="what went wrong, in plain words"),
    Column("owner", String(200), comment="who looks after it"),
    Column("promise", Text, comment="what was promised to whoever asked"),
    when_column("promise_by", "until when"),
    Column("opened_by", String(200), nullable=False),
    when_column("opened_at", required=True),
    Column("closed_by", String(200)),
    when_column("closed_at"),
    Index("ix_cases_job_id", "job_id"),
    Index("ix_cases_state", "workspace", "state", "id"),
    Index(
        "uq_cases_open",
        "job_id",
        unique=True,
        postgresql_where=text("state = 'open'"),
        sqlite_where=text("state = 'open'"),
    ),
    comment="What a person looks after; a job has at most one open at a time.",
)

notes = Table(
    "notes",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("case_id", String(64), ForeignKey("cases.id"), comment="the case that was open then"),
    Column("actor", String(200), nullable=False),
    Column("role", String(20), nullable=False),
    Column("text", Text, nullable=False),
    Column("for_requester", Boolean, nullable=False, comment="whether the requester may read it"),
    when_column("at", required=True),
    Index("ix_notes_job_id", "job_id"),
    comment="What people noted about a job, append-only.",
)

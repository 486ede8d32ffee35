"""What is drawn for review, and what policies said. Times are milliseconds since 1970 UTC."""

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column

policy_draws = Table(
    "policy_draws",
    metadata,
    Column("job_id", String(64), ForeignKey("jobs.id"), primary_key=True),
    workspace_column(),
    Column("rate", Float, nullable=False, comment="which part of the type's jobs is drawn"),
    Column("value", Float, nullable=False, comment="from the service's secret and an id, from 0 to below 1"),
    Column("drawn", Boolean, nullable=False, comment="whether a person looks at it"),
    Column(
        "drawn_for", String(64), nullable=False, comment="the job it was made for; a retry keeps its draw"
    ),
    when_column("at", "made at submit, never again", required=True),
    comment="The sampled review: one draw for each job of a sampled type.",
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("workspace", String(64), ForeignKey("workspaces.id"), primary_key=True),
    Column("type", String(64), primary_key=True),
    Column("over", String(10), primary_key=True, comment="action or output"),
    Column("version", String(80), comment="empty where no policy has a say any more"),
    when_column("at", "when a service that had it loaded started", required=True),
    comment="Which version of each type's policies was loaded last.",
)

policy_verdicts = Table(
    "policy_verdicts",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("over", String(10), nullable=False, comment="action or output"),
    Column("action_id", String(64), ForeignKey("actions.id")),
    Column("artifact_id", String(64), ForeignKey("artifacts.id"), comment="the result that was judged"),
    Column("payload_hash", String(80), nullable=False, comment="of exactly the bytes that were judged"),
    Column("version", String(80), nullable=False, comment="a hash of the content of all that had a say"),
    Column("answer", String(10), nullable=False, comment="allow, review or refuse: the strictest"),
    Column("sensitive", Boolean, nullable=False, comment="whether the type's hook found it sensitive"),
    Column("policy", String(200), nullable=False, comment="the function whose answer it is"),
    Column("reason", Text, nullable=False),
    Column("quorum", Integer, comment="how many approvals it asked for"),
    Column("role", String(20), comment="whose review it asked for"),
    when_column("at", required=True),
    Index("ix_policy_verdicts_job_id", "job_id"),
    comment="What policies said about actions and outputs, append-only.",
)

"""The tables of everything that passes between a job and its provider beside runs: files, turns, tools, webhooks.

Times are milliseconds since 1970 UTC.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column


def _attempt_column(*, required: bool = True) -> Column[str]:
    return Column("attempt_id", String(64), ForeignKey("attempts.id"), nullable=not required)


uploads = Table(
    "uploads",
    metadata,
    id_column(),
    workspace_column(),
    Column(
        "submitted_by", String(200), nullable=False, comment="the person or service whose key uploaded it"
    ),
    Column("name", String(200), nullable=False, comment="a label, never a path"),
    Column("media_type", String(100), nullable=False, comment="sniffed from the bytes, never believed"),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False, comment="the content's address"),
    Column("inline", LargeBinary, comment="small contents lie here, larger ones in the artifact store"),
    when_column("created_at", required=True),
    Index("ix_uploads_owner", "workspace", "submitted_by", "created_at"),
    Index("ix_uploads_content", "workspace", "sha256"),
    comment="Files people sent in: artifacts of kind input, before and beside the jobs that use them.",
)

job_files = Table(
    "job_files",
    metadata,
    Column("job_id", String(64), ForeignKey("jobs.id"), nullable=False),
    Column("upload_id", String(64), ForeignKey("uploads.id"), nullable=False),
    PrimaryKeyConstraint("job_id", "upload_id"),
    Index("ix_job_files_upload_id", "upload_id"),
    comment="Which job uses which uploaded file.",
)

provider_files = Table(
    "provider_files",
    metadata,
    id_column(),
    workspace_column(),
    Column("provider_account", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("filename", String(200), nullable=False, comment="as sent: it holds this row's id, to find it by"),
    Column(
        "state",
        String(20),
        nullable=False,
        comment="planned, sending, unknown, ready, retiring, lost, deleting, refused or deleted",
    ),
    Column("sender", String(64), comment="the worker process that sent it"),
    Column("provider_file_id", String(200)),
    Column("bytes", BigInteger, nullable=False),
    Column("code", String(100)),
    Column("tries", Integer, nullable=False, comment="deletes that taught us nothing, in a row"),
    when_column("planned_at", required=True),
    when_column("sent_at"),
    when_column("finished_at"),
    when_column("expires_at", "when the provider forgets it by itself"),
    when_column("due_at", "when to see whether it can be deleted"),
    Index("ix_provider_files_content", "workspace", "provider_account", "sha256"),
    Index(
        "uq_provider_files_in_use",
        "workspace",
        "provider_account",
        "sha256",
        unique=True,
        postgresql_where=text("state IN ('planned', 'sending', 'unknown', 'ready')"),
        sqlite_where=text("state IN ('planned', 'sending', 'unknown', 'ready')"),
    ),
    Index(
        "ix_provider_files_due",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
    comment="One upload to the provider each: the intent first, then what became of it.",
)

turns = Table(
    "turns",
    metadata,
    Column("attempt_id", String(64), ForeignKey("attempts.id"), primary_key=True),
    job_column(),
    Column("kind", String(20), nullable=False, comment="tools, message or changes"),
    Column("previous_attempt", String(64), ForeignKey("attempts.id"), comment="the turn it answers"),
    Column("previous_response_id", String(200), comment="the run the provider is asked to go on from"),
    Column("prior", Text, nullable=False, comment="JSON: that run's items, for when the provider lost it"),
    Column("items", Text, nullable=False, comment="JSON: the input items this turn adds"),
    when_column("created_at", required=True),
    Index("ix_turns_job_id", "job_id"),
    comment="What an attempt sends beyond the job's own request.",
)

tool_calls = Table(
    "tool_calls",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    _attempt_column(),
    Column("number", Integer, nullable=False, comment="its place among the attempt's calls, from 1"),
    Column("call_id", String(200), nullable=False, comment="the provider's id of the call"),
    Column("kind", String(20), nullable=False, comment="function or mcp_approval"),
    Column("name", String(200), nullable=False),
    Column("arguments", Text, nullable=False, comment="as the model wrote them"),
    Column("state", String(20), nullable=False, comment="called, proposed or answered"),
    Column("code", String(100), comment="why it was answered with an error"),
    Column("output", Text, comment="what the model is told"),
    when_column("started_at", required=True),
    when_column("finished_at"),
    UniqueConstraint("attempt_id", "call_id"),
    Index("ix_tool_calls_job_id", "job_id"),
    comment="Calls the model made, and what they were answered.",
)

messages = Table(
    "messages",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("actor", String(200), nullable=False),
    Column("text", Text, nullable=False),
    _attempt_column(required=False),
    when_column("at", required=True),
    Index("ix_messages_job_id", "job_id"),
    comment="What a person said to a job while it ran or after it; the attempt is the turn that took it up.",
)

inbox = Table(
    "inbox",
    metadata,
    Column("provider_account", String(100), nullable=False),
    Column("webhook_id", String(200), nullable=False),
    Column("type", String(100), nullable=False),
    Column("response_id", String(200)),
    Column("attempt_id", String(64), comment="whom its metadata names"),
    Column("state", String(20), nullable=False, comment="new, parked, applied or foreign"),
    Column("tries", Integer, nullable=False),
    Column("note", String(200), comment="what was made of it"),
    Column("body", Text, comment="as it was sent, or its beginning, where nobody here knows the type"),
    when_column("received_at", required=True),
    when_column("due_at", "when it is to be worked on (again)"),
    when_column("applied_at"),
    PrimaryKeyConstraint("provider_account", "webhook_id"),
    Index("ix_inbox_newest", "provider_account", "received_at"),
    Index("ix_inbox_response", "provider_account", "response_id"),
    Index(
        "ix_inbox_due",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
    comment="The provider's signed events, stored once per id; hints, never truth.",
)

unknown_events = Table(
    "unknown_events",
    metadata,
    _attempt_column(),
    Column("number", Integer, nullable=False, comment="its place among the attempt's, from 1"),
    Column("body", Text, nullable=False, comment="JSON, as it came"),
    PrimaryKeyConstraint("attempt_id", "number"),
    comment="Events of live streams whose type nobody here knows, until the run's artifacts are written.",
)

lane_minutes = Table(
    "lane_minutes",
    metadata,
    Column("provider_account", String(100), nullable=False),
    Column("lane", String(20), nullable=False),
    Column("minute", BigInteger, nullable=False, comment="minutes since 1970 UTC"),
    Column("good", Integer, nullable=False),
    Column("bad", Integer, nullable=False),
    Column("delay", BigInteger, nullable=False, comment="milliseconds the good calls took, summed"),
    PrimaryKeyConstraint("provider_account", "lane", "minute"),
    comment="How calls of an account and lane went lately.",
)

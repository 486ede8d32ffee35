"""The tables of jobs and all that belongs to them, column by column; `docs/data.md` is drawn from here.

Times are milliseconds since 1970 UTC. Money is a decimal string. JSON is text in canonical form where
it is hashed. The row of a job stays narrow; big things lie beside it.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
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
    false,
    text,
    true,
)

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column

jobs = Table(
    "jobs",
    metadata,
    id_column(),
    workspace_column(),
    Column(
        "submitted_by", String(200), nullable=False, comment="the person or service whose key submitted it"
    ),
    Column("user", String(200), comment="for whom the product submitted it"),
    Column("account", String(200), comment="the product's own customer reference"),
    Column("type", String(64), nullable=False),
    Column("type_version", String(64), nullable=False),
    Column("authority", String(20), nullable=False),
    Column("summary", Text, nullable=False, comment="the submitted-inputs summary support may see"),
    Column("simulated", Boolean, nullable=False),
    Column("status", String(20), nullable=False),
    Column("phase", String(20)),
    when_column("phase_since", required=True),
    Column("version", Integer, nullable=False, comment="guards every write"),
    Column("lease_no", Integer, nullable=False, comment="fences workers"),
    Column(
        "lease_state",
        String(12),
        nullable=False,
        comment="free, held, progressed (held, with a commit), or listening (to a live stream)",
    ),
    Column("leases_lost", Integer, nullable=False, comment="leases lost in a row without a commit"),
    when_column("due_at", "when a worker should look again"),
    Column("lane", String(20), nullable=False),
    Column("live", Boolean, nullable=False),
    Column("window", String(10), nullable=False),
    Column("provider", String(40), nullable=False),
    Column("provider_account", String(100), nullable=False),
    Column("provider_response_id", String(200), comment="of the newest accepted attempt"),
    Column("gate", String(20), nullable=False, comment="none, policy, sampled, output or sensitive"),
    Column(
        "sensitive", String(20), comment="what made it so: field, hook, submit, person, or the former job's"
    ),
    Column(
        "closed_from", Integer, comment="events from this number on are behind a gate that was closed later"
    ),
    Column("review_state", String(20), nullable=False),
    Column("released", String(10), comment="what a gated job's review released: whole, or edited only"),
    Column(
        "sent_back_seq",
        Integer,
        comment="the event with which a reviewer asked for changes: up to it all stays closed",
    ),
    Column("inputs_digest", String(64), nullable=False, comment="sha256 of the stored inputs"),
    Column("priority", Integer, nullable=False),
    when_column("wait_until", "no attempt is made before"),
    when_column("useful_until", required=True),
    when_column("deadline"),
    Column("max_cost", String(40)),
    Column("tries", Integer, nullable=False, comment="refused or unsent creates in a row"),
    Column("ends_as", String(20), comment="canceled or expired, whichever was asked first"),
    when_column("cancel_asked_at"),
    Column("failure", JSON(none_as_null=True), comment="cause, code, sentence and the four answers"),
    when_column("created_at", required=True),
    when_column("started_at"),
    when_column("finished_at"),
    Column("group_id", String(64)),
    Column("retry_of", String(64)),
    Column("retried_as", String(64)),
    Column("continues", String(64)),
    Column("case_id", String(64)),
    when_column("archived_at"),
    Column("held", Boolean, nullable=False),
    Column("budget", String(220), comment="the budget it waits for"),
    Column("metadata", JSON, nullable=False),
    Column("lane_reasons", JSON, nullable=False),
    CheckConstraint("(phase IS NULL) = (finished_at IS NOT NULL)", name="phase_until_the_end"),
    Index(
        "ix_jobs_due",
        "due_at",
        postgresql_where=text("due_at IS NOT NULL"),
        sqlite_where=text("due_at IS NOT NULL"),
    ),
    Index(
        "ix_jobs_ended",
        "workspace",
        "type",
        "finished_at",
        postgresql_where=text("finished_at IS NOT NULL"),
        sqlite_where=text("finished_at IS NOT NULL"),
    ),
    Index("ix_jobs_newest", "workspace", "created_at", "id"),
    Index("ix_jobs_status", "workspace", "status", "created_at"),
    Index("ix_jobs_submitter", "workspace", "submitted_by", "created_at"),
    Index("ix_jobs_response", "provider_response_id"),
    comment="The record of a job: the row is the truth.",
)

job_inputs = Table(
    "job_inputs",
    metadata,
    Column("job_id", String(64), ForeignKey("jobs.id"), primary_key=True),
    Column("body", Text, nullable=False, comment="the inputs as JSON, stored once, never copied"),
    comment="What was submitted.",
)

attempts = Table(
    "attempts",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("number", Integer, nullable=False),
    Column("reason", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("lane", String(20), nullable=False),
    Column("provider_account", String(100), nullable=False),
    Column("provider_response_id", String(200)),
    Column("provider_status", String(40), comment="the provider's own word, last seen"),
    Column("model", String(200)),
    Column("sender", String(64), comment="the worker process that sent it"),
    when_column("planned_at", required=True),
    when_column("sent_at"),
    when_column("unknown_at"),
    when_column("accepted_at"),
    when_column("looked_at"),
    when_column("look_at", "when the next look is due"),
    Column("looks", Integer, nullable=False),
    when_column("cancel_sent_at"),
    when_column("finished_at"),
    Column("code", String(100)),
    Column("usage", JSON(none_as_null=True), comment="as the provider reported it"),
    Column(
        "window", String(10), nullable=False, server_default="soonest", comment="the completion window bought"
    ),
    Column(
        "stray", Boolean, nullable=False, server_default=false(), comment="a second purchase that was found"
    ),
    Column("stream_state", String(12), comment="open: followed live; lost: looked at from now on"),
    Column("stream_seq", Integer, comment="the provider's event up to which the text is committed"),
    Column(
        "stream_tries", Integer, nullable=False, server_default="0", comment="re-attaches in a row in vain"
    ),
    UniqueConstraint("job_id", "number"),
    Index("ix_attempts_response", "provider_response_id"),
    comment="One purchase each: the intent first, then what became of it.",
)

answers = Table(
    "answers",
    metadata,
    Column("attempt_id", String(64), ForeignKey("attempts.id"), primary_key=True),
    job_column(),
    Column("body", Text, nullable=False),
    comment="A finished run's answer that nobody could turn into outputs yet.",
)

events = Table(
    "events",
    metadata,
    id_column(),
    workspace_column(),
    Column("job_id", String(64), ForeignKey("jobs.id")),
    Column("seq", Integer, comment="1, 2, 3 … per job, no gaps"),
    Column("feed_seq", BigInteger, comment="the workspace's feed, in commit order"),
    Column("type", String(40), nullable=False),
    when_column("at", required=True),
    Column("actor", String(200), nullable=False),
    Column("data", Text, comment="the payload; retention may remove it"),
    Column("digest", String(64), nullable=False, comment="sha256 of the payload in canonical JSON"),
    Column("chain", String(64), nullable=False, comment="sha256 over the former chain and this event"),
    UniqueConstraint("job_id", "seq"),
    UniqueConstraint("workspace", "feed_seq"),
    comment="What happened, append-only and hash-chained per job.",
)

artifacts = Table(
    "artifacts",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("attempt_id", String(64), ForeignKey("attempts.id")),
    Column("kind", String(20), nullable=False),
    Column("name", String(200), nullable=False, comment="a label, never a path"),
    Column("media_type", String(100), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False, comment="the content's address"),
    Column("inline", LargeBinary, comment="small contents lie here, larger ones in the artifact store"),
    Column("edited_by", String(200), comment="the reviewer who wrote this version"),
    Column(
        "sent_back",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="it belongs to a draft that a reviewer sent back",
    ),
    when_column("created_at", required=True),
    Index("ix_artifacts_job_id", "job_id"),
    comment="Results, evidence, partials and reports.",
)

reviews = Table(
    "reviews",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("kind", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("role", String(20), nullable=False),
    Column("quorum", Integer, nullable=False),
    Column("payload", Text, nullable=False, comment="canonical JSON of what is decided on"),
    Column("payload_hash", String(80), nullable=False),
    when_column("respond_by"),
    when_column("opened_at", required=True),
    when_column("closed_at"),
    Column(
        "version", Integer, nullable=False, server_default="1", comment="rises with each edit of the payload"
    ),
    Column("former_payload", Text, comment="what was decided on before the first edit"),
    Column(
        "separate", Boolean, nullable=False, server_default=true(), comment="the requester may not decide"
    ),
    Column("step", Integer, nullable=False, server_default="0", comment="how often it was handed on"),
    Column("claimed_by", String(200), comment="who is looking at it; a courtesy"),
    when_column("claimed_until"),
    Index("ix_reviews_job_id", "job_id"),
    Index(
        "uq_reviews_open",
        "job_id",
        unique=True,
        postgresql_where=text("state = 'pending'"),
        sqlite_where=text("state = 'pending'"),
    ),
    comment="What a person has to decide.",
)

cost_lines = Table(
    "cost_lines",
    metadata,
    Column("attempt_id", String(64), ForeignKey("attempts.id"), primary_key=True, comment="booked once"),
    workspace_column(),
    job_column(),
    Column("type", String(64), nullable=False),
    Column("amount", String(40), comment="null: unpriced, never zero"),
    Column("currency", String(3), nullable=False),
    Column("basis", Text, nullable=False),
    Column("simulated", Boolean, nullable=False),
    when_column("booked_at", required=True),
    Column("unpriced_parts", String(200), comment="what has no known price"),
    Index("ix_cost_lines_job_id", "job_id"),
    Index("ix_cost_lines_type", "workspace", "type"),
    comment="What each attempt cost, from its terminal object.",
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    workspace_column(),
    Column("submitted_by", String(200), nullable=False),
    Column("key", String(255), nullable=False),
    Column("body_hash", String(64), nullable=False),
    job_column(),
    when_column("created_at", required=True),
    PrimaryKeyConstraint("workspace", "submitted_by", "key"),
    comment="Which request made which job, so that a second click makes no second job.",
)

"""The tables of what people decide: decisions on reviews, and reviews handed on. Times are milliseconds since 1970."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from backlane.store.columns import id_column, job_column, metadata, when_column, workspace_column


def _review_column() -> Column[str]:
    return Column("review_id", String(64), ForeignKey("reviews.id"), nullable=False)


decisions = Table(
    "decisions",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    _review_column(),
    Column("version", Integer, nullable=False, comment="which version of the payload was decided on, from 1"),
    Column("payload_hash", String(80), nullable=False, comment="the hash of exactly what was shown"),
    Column("decision", String(20), nullable=False, comment="approve, reject or request_changes"),
    Column("actor", String(200), nullable=False, comment="the person, from the credential"),
    Column("role", String(20), nullable=False),
    Column("reason_code", String(40)),
    Column("notes", Text),
    Column(
        "for_requester", Boolean, nullable=False, comment="whether the notes are released with the decision"
    ),
    Column("edited", Boolean, nullable=False, comment="whether this decision brought a new version"),
    when_column("at", required=True),
    UniqueConstraint("review_id", "version", "actor"),
    Index("ix_decisions_job_id", "job_id"),
    comment="Who decided what on which bytes, append-only; one person counts once per version.",
)

escalations = Table(
    "escalations",
    metadata,
    id_column(),
    workspace_column(),
    job_column(),
    Column("review_id", String(64), ForeignKey("reviews.id")),
    Column("actor", String(200), nullable=False),
    Column("from_role", String(20)),
    Column("to_role", String(20)),
    Column("reason", Text, nullable=False),
    when_column("at", required=True),
    Index("ix_escalations_job_id", "job_id"),
    comment="Reviews and jobs handed on, by a person or because nobody answered in time.",
)

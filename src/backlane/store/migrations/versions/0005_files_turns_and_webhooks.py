"""Files, turns, tool calls, messages, webhooks received, and how lanes do; what an attempt knows of its stream."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables and columns."""
    _inbox()
    _lane_minutes()
    _provider_files()
    _uploads()
    _job_files()
    _messages()
    _tool_calls()
    _turns()
    _attempts()
    op.add_column(
        "cost_lines", sa.Column("unpriced_parts", sa.String(200), comment="what has no known price")
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("provider_account", sa.String(length=100), nullable=False),
        sa.Column("webhook_id", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=100), nullable=False),
        sa.Column("response_id", sa.String(length=200), nullable=True),
        sa.Column("attempt_id", sa.String(length=64), nullable=True, comment="whom its metadata names"),
        sa.Column("state", sa.String(length=20), nullable=False, comment="new, parked, applied or foreign"),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=True, comment="what was made of it"),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True, comment="when it is to be worked on (again)"),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("provider_account", "webhook_id", name=op.f("pk_inbox")),
        comment="The provider's signed events, stored once per id; hints, never truth.",
    )
    with op.batch_alter_table("inbox", schema=None) as batch_op:
        due = sa.text("due_at IS NOT NULL")
        batch_op.create_index("ix_inbox_due", ["due_at"], postgresql_where=due, sqlite_where=due)
        batch_op.create_index("ix_inbox_newest", ["provider_account", "received_at"], unique=False)
        batch_op.create_index("ix_inbox_response", ["provider_account", "response_id"], unique=False)


def _lane_minutes() -> None:
    op.create_table(
        "lane_minutes",
        sa.Column("provider_account", sa.String(length=100), nullable=False),
        sa.Column("lane", sa.String(length=20), nullable=False),
        sa.Column("minute", sa.BigInteger(), nullable=False, comment="minutes since 1970 UTC"),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("bad", sa.Integer(), nullable=False),
        sa.Column(
            "delay", sa.BigInteger(), nullable=False, comment="milliseconds the good calls took, summed"
        ),
        sa.PrimaryKeyConstraint("provider_account", "lane", "minute", name=op.f("pk_lane_minutes")),
        comment="How calls of an account and lane went lately.",
    )


def _word(name: str, length: int, comment: str | None = None, *, null: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=null, comment=comment)


def _when(name: str, comment: str | None = None, *, null: bool = True) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=null, comment=comment)


def _provider_files() -> None:
    states = "planned, sending, unknown, ready, retiring, lost, deleting, refused or deleted"
    op.create_table(
        "provider_files",
        _word("id", 64),
        _word("workspace", 64, "whose row this is"),
        _word("provider_account", 100),
        _word("sha256", 64),
        _word("filename", 200, "as sent: it holds this row's id, to find it by"),
        _word("state", 20, states),
        _word("sender", 64, "the worker process that sent it", null=True),
        _word("provider_file_id", 200, null=True),
        _when("bytes", null=False),
        _word("code", 100, null=True),
        sa.Column("tries", sa.Integer(), nullable=False, comment="deletes that taught us nothing, in a row"),
        _when("planned_at", null=False),
        _when("sent_at"),
        _when("finished_at"),
        _when("expires_at", "when the provider forgets it by itself"),
        _when("due_at", "when to see whether it can be deleted"),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_provider_files_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_files")),
        comment="One upload to the provider each: the intent first, then what became of it.",
    )
    in_use = sa.text("state IN ('planned', 'sending', 'unknown', 'ready')")
    due = sa.text("due_at IS NOT NULL")
    content = ["workspace", "provider_account", "sha256"]
    table = "provider_files"
    op.create_index("ix_provider_files_content", table, content)
    op.create_index(
        "uq_provider_files_in_use", table, content, unique=True, postgresql_where=in_use, sqlite_where=in_use
    )
    op.create_index("ix_provider_files_due", table, ["due_at"], postgresql_where=due, sqlite_where=due)


def _uploads() -> None:
    op.create_table(
        "uploads",
        _word("id", 64),
        _word("workspace", 64, "whose row this is"),
        _word("submitted_by", 200, "the person or service whose key uploaded it"),
        _word("name", 200, "a label, never a path"),
        _word("media_type", 100, "sniffed from the bytes, never believed"),
        _when("bytes", null=False),
        _word("sha256", 64, "the content's address"),
        sa.Column(
            "inline",
            sa.LargeBinary(),
            nullable=True,
            comment="small contents lie here, larger ones in the artifact store",
        ),
        _when("created_at", null=False),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_uploads_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
        comment="Files people sent in: artifacts of kind input, before and beside the jobs that use them.",
    )
    with op.batch_alter_table("uploads", schema=None) as batch_op:
        batch_op.create_index("ix_uploads_owner", ["workspace", "submitted_by", "created_at"], unique=False)
        batch_op.create_index("ix_uploads_content", ["workspace", "sha256"], unique=False)


def _job_files() -> None:
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id")),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], name=op.f("fk_job_files_upload_id")),
        sa.PrimaryKeyConstraint("job_id", "upload_id", name=op.f("pk_job_files")),
        comment="Which job uses which uploaded file.",
    )
    with op.batch_alter_table("job_files", schema=None) as batch_op:
        batch_op.create_index("ix_job_files_upload_id", ["upload_id"], unique=False)


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.String(length=64), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_messages_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_messages_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_messages_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        comment="What a person said to a job while it ran or after it; the attempt is the turn that took it up.",
    )
    with op.batch_alter_table("messages", schema=None) as batch_op:
        batch_op.create_index("ix_messages_job_id", ["job_id"], unique=False)


def _tool_calls() -> None:
    op.create_table(
        "tool_calls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("workspace", sa.String(length=64), nullable=False, comment="whose row this is"),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("attempt_id", sa.String(length=64), nullable=False),
        sa.Column(
            "number", sa.Integer(), nullable=False, comment="its place among the attempt's calls, from 1"
        ),
        sa.Column("call_id", sa.String(length=200), nullable=False, comment="the provider's id of the call"),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="function or mcp_approval"),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False, comment="as the model wrote them"),
        sa.Column("state", sa.String(length=20), nullable=False, comment="called or answered"),
        sa.Column("code", sa.String(length=100), nullable=True, comment="why it was answered with an error"),
        sa.Column("output", sa.Text(), nullable=True, comment="what the model is told"),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_tool_calls_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_tool_calls_job_id")),
        sa.ForeignKeyConstraint(["workspace"], ["workspaces.id"], name=op.f("fk_tool_calls_workspace")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tool_calls")),
        sa.UniqueConstraint("attempt_id", "call_id", name=op.f("uq_tool_calls_attempt_id_call_id")),
        comment="Calls the model made, and what they were answered.",
    )
    with op.batch_alter_table("tool_calls", schema=None) as batch_op:
        batch_op.create_index("ix_tool_calls_job_id", ["job_id"], unique=False)


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("attempt_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False, comment="tools, message or changes"),
        sa.Column("previous_attempt", sa.String(length=64), nullable=True, comment="the turn it answers"),
        _word("previous_response_id", 200, "the run the provider is asked to go on from", null=True),
        sa.Column(
            "prior",
            sa.Text(),
            nullable=False,
            comment="JSON: that run's items, for when the provider lost it",
        ),
        sa.Column("items", sa.Text(), nullable=False, comment="JSON: the input items this turn adds"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["attempt_id"], ["attempts.id"], name=op.f("fk_turns_attempt_id")),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_turns_job_id")),
        sa.ForeignKeyConstraint(
            ["previous_attempt"], ["attempts.id"], name=op.f("fk_turns_previous_attempt")
        ),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_turns")),
        comment="What an attempt sends beyond the job's own request.",
    )
    with op.batch_alter_table("turns", schema=None) as batch_op:
        batch_op.create_index("ix_turns_job_id", ["job_id"], unique=False)


def _attempts() -> None:
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "window",
                sa.String(length=10),
                server_default="soonest",
                nullable=False,
                comment="the completion window bought",
            )
        )
        batch_op.add_column(
            sa.Column(
                "stray",
                sa.Boolean(),
                server_default=sa.false(),
                nullable=False,
                comment="a second purchase that was found",
            )
        )
        batch_op.add_column(
            sa.Column(
                "stream_state",
                sa.String(length=12),
                nullable=True,
                comment="open: followed live; lost: looked at from now on",
            )
        )
        batch_op.add_column(
            sa.Column(
                "stream_seq",
                sa.Integer(),
                nullable=True,
                comment="the provider's event up to which the text is committed",
            )
        )
        batch_op.add_column(
            sa.Column(
                "stream_tries",
                sa.Integer(),
                server_default="0",
                nullable=False,
                comment="re-attaches in a row in vain",
            )
        )


def downgrade() -> None:
    """Drop them."""
    op.drop_column("cost_lines", "unpriced_parts")
    with op.batch_alter_table("attempts", schema=None) as batch_op:
        batch_op.drop_column("window")
        batch_op.drop_column("stray")
        batch_op.drop_column("stream_state")
        batch_op.drop_column("stream_seq")
        batch_op.drop_column("stream_tries")
    for name in (
        "turns",
        "tool_calls",
        "messages",
        "job_files",
        "uploads",
        "provider_files",
        "lane_minutes",
        "inbox",
    ):
        op.drop_table(name)

"""The metadata every table joins, and the columns they share."""

from sqlalchemy import BigInteger, Column, ForeignKey, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def id_column() -> Column[str]:
    """The row's own id."""
    return Column("id", String(64), primary_key=True)


def workspace_column() -> Column[str]:
    """Whose row it is."""
    return Column(
        "workspace", String(64), ForeignKey("workspaces.id"), nullable=False, comment="whose row this is"
    )


def job_column() -> Column[str]:
    """Which job it belongs to."""
    return Column("job_id", String(64), ForeignKey("jobs.id"), nullable=False)


def when_column(name: str, comment: str | None = None, *, required: bool = False) -> Column[int]:
    """A time in milliseconds since 1970 UTC."""
    return Column(name, BigInteger, nullable=not required, comment=comment)

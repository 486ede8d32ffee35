"""The two databases side by side: each difference is one pair. Nothing else knows which one it talks to."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, create_engine, event, func, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL

from backlane.errors import SettingsError, StoreBusy, StoreDamaged, StoreError, StoreFull
from backlane.store.tables import events


@dataclass(frozen=True)
class Dialect:
    """What differs between the databases."""

    name: str
    connect: Callable[[URL, float], tuple[Engine, Engine]]
    insert: Callable[..., Any]
    claimable: Callable[[Any], Any]
    lock_row: Callable[[Any], Any]
    feed_seq: Callable[[Connection, str], int | None]
    exclusive: bool
    broken: Callable[[Connection], str | None]


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite URL; None for another database."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise SettingsError(
            "BACKLANE_DATABASE_URL: an in-memory database loses every job; name a file: sqlite:///path/to.db"
        )
    return Path(url.database)


def _sqlite_engines(url: URL, busy_timeout: float) -> tuple[Engine, Engine]:
    path = sqlite_path(url)
    assert path is not None

    def connect() -> sqlite3.Connection:
        if not path.exists():
            # The file holds inputs and outputs: only its owner may read it.
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        # Transactions are ours to begin: the driver must not add its own.
        connection = sqlite3.connect(
            path, timeout=busy_timeout, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    writer = create_engine(url, creator=connect, pool_size=1, max_overflow=2)
    reader = create_engine(url, creator=connect, pool_size=8, max_overflow=8)

    def begin_write(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def begin_read(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    event.listen(writer, "begin", begin_write)
    event.listen(reader, "begin", begin_read)
    return writer, reader


def _postgres_engines(url: URL, busy_timeout: float) -> tuple[Engine, Engine]:
    driven = url.set(drivername="postgresql+psycopg")
    options: dict[str, Any] = {"pool_pre_ping": True}
    waits = f"-c statement_timeout=30000 -c lock_timeout={int(busy_timeout * 1000)}"
    arguments = {"connect_timeout": 5, "options": f"-c synchronous_commit=on {waits}"}
    writer = create_engine(driven, connect_args=arguments, pool_size=2, max_overflow=2, **options)
    reader = create_engine(driven, connect_args=arguments, pool_size=8, max_overflow=8, **options)
    return writer, reader


_NEWEST_FEED_SEQ = select(func.max(events.c.feed_seq)).where(events.c.workspace == bindparam("workspace"))


def _next_feed_seq(connection: Connection, workspace: str) -> int | None:
    # One writer at a time commits here, so the next number is also the next in commit order.
    newest = connection.execute(_NEWEST_FEED_SEQ, {"workspace": workspace})
    return (newest.scalar() or 0) + 1


def _sqlite_damage(connection: Connection) -> str | None:
    found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    # It answers in several lines of which the first names only the place.
    return None if found == "ok" else " ".join(str(found).split())


def _same(statement: Any) -> Any:
    return statement


SQLITE = Dialect(
    name="sqlite",
    connect=_sqlite_engines,
    insert=sqlite_insert,
    claimable=_same,
    lock_row=_same,
    feed_seq=_next_feed_seq,
    exclusive=True,
    broken=_sqlite_damage,
)

POSTGRES = Dialect(
    name="postgresql",
    connect=_postgres_engines,
    insert=postgres_insert,
    claimable=lambda statement: statement.with_for_update(skip_locked=True),
    # Not FOR UPDATE: rows that only refer to the locked one may be written meanwhile.
    lock_row=lambda statement: statement.with_for_update(key_share=True),
    # Several transactions commit at once here: the sequencer numbers events after their commit.
    feed_seq=lambda connection, workspace: None,
    exclusive=False,
    broken=lambda connection: None,
)


def dialect_of(url: URL) -> Dialect:
    """The dialect of a database URL. Raises SettingsError for a database we do not speak."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return SQLITE
    if backend == "postgresql":
        return POSTGRES
    raise SettingsError(
        f"BACKLANE_DATABASE_URL: {backend!r} is not supported; use sqlite:///file or postgresql://…"
    )


_FULL = ("database or disk is full", "disk i/o error", "no space left", "could not extend file")
_DAMAGED = ("malformed", "corrupt")
_BUSY = (
    "database is locked",
    "database is busy",
    "deadlock detected",
    "canceling statement",
    "queuepool limit",
)


def store_error(error: Exception) -> StoreError:
    """What a driver's error means to us."""
    text = str(getattr(error, "orig", None) or error)
    lowered = text.lower()
    first = text.strip().splitlines()[0] if text.strip() else type(error).__name__
    if any(word in lowered for word in _DAMAGED):
        return damaged(first)
    if any(word in lowered for word in _FULL):
        return StoreFull(f"the database cannot be written: {first}")
    if any(word in lowered for word in _BUSY):
        return StoreBusy(f"the database did not answer in time: {first}")
    return StoreError(f"the database failed: {first}")


def damaged(what: str) -> StoreDamaged:
    """The error that says the file is damaged, and what to do."""
    return StoreDamaged(f"the database file is damaged ({what}); {StoreDamaged.hint}")

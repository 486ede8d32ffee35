"""Bringing a database to this version's shape, and saying whether it is there. Half a step is never left."""

import os
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import SQLAlchemyError

from backlane.errors import SettingsError, StoreError
from backlane.store.database import Database
from backlane.store.dialects import sqlite_path, store_error

_FOLDER = Path(__file__).parent / "migrations"


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_FOLDER))
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision this version of the code works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def prepare_folder(database: Database) -> None:
    """Make the folder of a SQLite file, readable by its owner only. Raises SettingsError with the mend."""
    path = sqlite_path(database.url)
    if path is None:
        return
    mend = "make the folder writable or set BACKLANE_DATABASE_URL to another place"
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700)
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder")
    except OSError as error:
        raise SettingsError(
            f"BACKLANE_DATABASE_URL: cannot use {path}: {error.strerror or error}; {mend}"
        ) from None
    # Never open the file here: closing it would drop the locks that SQLite holds on it in this process,
    # and another process would then take itself for the last one and remove the log under our feet.
    place = path if path.exists() else path.parent
    if not os.access(place, os.W_OK | os.R_OK) or not os.access(path.parent, os.W_OK | os.X_OK):
        raise SettingsError(f"BACKLANE_DATABASE_URL: cannot write {path}: permission denied; {mend}")


def upgrade(database: Database) -> tuple[str | None, str]:
    """Apply every pending step in one transaction; the revisions before and after.

    Raises SettingsError or StoreError with one line that names the place and the mend.
    """
    prepare_folder(database)
    try:
        with database.connection() as connection, connection.begin():
            before = MigrationContext.configure(connection).get_current_revision()
            command.upgrade(_config(connection), "head")
            return before, newest_revision()
    except SQLAlchemyError as error:
        raise _unusable(database, error) from error


def require_current(database: Database) -> None:
    """Make an empty database's tables; refuse one that another version shaped.

    Raises StoreError naming the mend, so that a service never runs on a shape it does not know.
    """
    prepare_folder(database)
    try:
        with database.connection() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
            empty = current is None and not inspect(connection).get_table_names()
    except SQLAlchemyError as error:
        raise _unusable(database, error) from error
    if empty:
        upgrade(database)
    elif current != newest_revision():
        raise StoreError(
            f"the database is at revision {current or 'none'}, this version needs {newest_revision()}; "
            "stop the service and run 'backlane migrate'"
        )


def _unusable(database: Database, error: Exception) -> StoreError:
    known = store_error(error)
    if type(known) is not StoreError:
        return known
    place: Any = sqlite_path(database.url) or database.url.render_as_string(hide_password=True)
    return StoreError(f"cannot use the database at {place}: {known}; check BACKLANE_DATABASE_URL")

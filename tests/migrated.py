"""Databases that are migrated already, to copy: to bring an empty one up takes longer than most stories do."""

import secrets
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from backlane.store.database import Database
from backlane.store.upgrade import upgrade

# In memory where there is such a place: the simulated world copies one for each seed.
MEMORY = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
_POSTGRES = "migrated"


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="backlane-migrated-", dir=MEMORY)


@cache
def sqlite_file() -> Path:
    """A migrated SQLite file; made once in this process."""
    path = Path(_folder().name) / "backlane.db"
    database = Database(f"sqlite:///{path}", inline=True)
    upgrade(database)
    database.close()
    return path


def postgres_url(server: Any) -> str:
    """A migrated database of its own on this server."""
    name = f"t{secrets.token_hex(8)}"
    server.psql(f"CREATE DATABASE {name} TEMPLATE {_postgres_template(server)};")
    return server.get_uri(name)


@cache
def _postgres_template(server: Any) -> str:
    server.psql(f"CREATE DATABASE {_POSTGRES};")
    database = Database(server.get_uri(_POSTGRES))
    upgrade(database)
    database.close()
    return _POSTGRES

"""What holds for a SQLite file: full sync, one worker, private files, and locks nobody drops by accident."""

import os
import re
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy.dialects import postgresql, sqlite

from backlane.errors import SettingsError, StoreError, StoreLocked
from backlane.outbound.folder import ArtifactFolder
from backlane.store import people, queries, tables
from backlane.store.columns import metadata
from backlane.store.database import Database
from backlane.store.lock import WorkerLock
from backlane.store.transaction import SqlStore
from backlane.store.upgrade import require_current, upgrade

ROOMS = (people, tables)


@pytest.fixture
def database(tmp_path: Path):
    made = Database(f"sqlite:///{tmp_path}/sub/backlane.db")
    yield made
    made.close()


def test_every_writing_connection_syncs_fully(database: Database) -> None:
    require_current(database)
    for engine in (database._writer, database._reader):  # pyright: ignore[reportPrivateUsage]
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_the_files_are_their_owners_alone(database: Database, tmp_path: Path) -> None:
    require_current(database)
    assert stat.S_IMODE((tmp_path / "sub" / "backlane.db").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "sub").stat().st_mode) == 0o700


def test_another_process_that_leaves_does_not_remove_the_log(database: Database, tmp_path: Path) -> None:
    """Opening and closing the file ourselves would drop SQLite's locks on it; a leaving process would then
    take itself for the last one and delete the write-ahead log under our feet."""
    require_current(database)
    database.write_now(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)"))
    require_current(database)
    upgrade(database)
    path = tmp_path / "sub" / "backlane.db"
    code = f"import sqlite3; c = sqlite3.connect({str(path)!r}); c.execute('select count(*) from jobs'); c.close()"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.with_name("backlane.db-wal").exists()
    database.write_now(lambda connection: connection.exec_driver_sql("INSERT INTO t VALUES (1)"))


def test_the_migrated_shape_is_the_declared_shape(store: SqlStore) -> None:
    assert ROOMS
    with store.database.connection() as connection:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
    assert found == []


def test_a_database_of_another_version_is_refused_with_the_mend(database: Database) -> None:
    require_current(database)
    database.write_now(lambda c: c.exec_driver_sql("UPDATE alembic_version SET version_num='0001'"))
    with pytest.raises(StoreError, match="backlane migrate"):
        require_current(database)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is not a database" * 100)
    database = Database(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StoreError, match=r"cannot use the database at .*x\.db.*BACKLANE_DATABASE_URL"):
        require_current(database)
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "nonsense", "::::"])
def test_a_bad_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(SettingsError, match="BACKLANE_DATABASE_URL"):
        require_current(Database(url))


def test_a_folder_that_is_a_file_is_refused_with_the_mend(tmp_path: Path) -> None:
    (tmp_path / "sub").write_text("a file")
    with pytest.raises(SettingsError, match="make the folder writable"):
        require_current(Database(f"sqlite:///{tmp_path}/sub/backlane.db"))


def test_a_second_worker_is_refused_and_a_dead_one_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "backlane.db"
    first = WorkerLock.take(path)
    with pytest.raises(StoreLocked, match=rf"process {os.getpid()}.*--no-worker"):
        WorkerLock.take(path)
    first.release()
    WorkerLock.take(path).release()


def test_every_statement_that_changes_a_job_is_guarded() -> None:
    source = Path(queries.__file__).read_text()
    named = set(re.findall(r"^(\w+) = \(?\s*(?:\w+ = )?\(?\s*update\(jobs\)", source, re.MULTILINE))
    listed = {name for name in vars(queries) if any(getattr(queries, name) is one for one in queries.GUARDED)}
    assert named <= listed
    for statement in queries.GUARDED:
        where = str(statement.values(due_at=1).compile(dialect=sqlite.dialect())).split("WHERE")[1]
        assert any(guard in where for guard in ("version", "lease_no", "due_at", "lease_state")), where


def test_sql_and_database_names_stay_in_the_store() -> None:
    root = Path(queries.__file__).parents[1]
    sql = re.compile(r"\b(SELECT |INSERT INTO|UPDATE \w+ SET|DELETE FROM)")
    allowed = ("store/", "settings.py", "wiring.py", "cli/")
    for path in root.rglob("*.py"):
        place = path.relative_to(root).as_posix()
        source = path.read_text()
        if not place.startswith("store/"):
            assert not sql.search(source), place
            assert place.startswith(allowed) or "sqlalchemy" not in source or place.startswith("verify/"), (
                place
            )


def test_a_claim_skips_locked_rows_where_there_are_several_workers(store: SqlStore) -> None:
    compiled = str(store.dialect.claimable(queries.DUE_JOBS).compile(dialect=postgresql.dialect()))
    assert ("SKIP LOCKED" in compiled) == (store.dialect.name == "postgresql")


async def test_artifacts_are_whole_or_absent_and_hash_to_their_name(tmp_path: Path) -> None:
    folder = ArtifactFolder(tmp_path / "artifacts")
    digest = await folder.put(b"x" * 100_000)
    assert await folder.get(digest) == b"x" * 100_000
    assert await folder.put(b"x" * 100_000) == digest
    path = tmp_path / "artifacts" / digest[:2] / digest
    path.write_bytes(b"y" * 100_000)
    with pytest.raises(StoreError, match="damaged"):
        await folder.get(digest)
    for address in ("../../etc/passwd", "", "0" * 63, digest.upper()):
        with pytest.raises(StoreError):
            await folder.get(address)


def test_a_full_disk_is_said_plainly_and_nothing_is_half_written(database: Database) -> None:
    require_current(database)

    def fill(connection):
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        connection.exec_driver_sql("CREATE TABLE big (x)")
        connection.exec_driver_sql("INSERT INTO big VALUES (zeroblob(10000000))")

    with pytest.raises(StoreError, match="cannot be written"):
        database.write_now(fill)
    database.write_now(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1073741823"))
    with database.connection() as connection:
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("SELECT count(*) FROM sqlite_master WHERE name='big'").scalar() == 0


def test_a_long_writer_is_waited_for_and_then_reported(database: Database, tmp_path: Path) -> None:
    require_current(database)
    other = sqlite3.connect(tmp_path / "sub" / "backlane.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="did not answer in time"):
        database.write_now(lambda connection: connection.exec_driver_sql("PRAGMA busy_timeout=1"))
    other.execute("ROLLBACK")
    other.close()

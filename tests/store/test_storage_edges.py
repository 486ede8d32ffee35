"""Storage at its edges: a damaged log, a damaged page, a place that cannot be used, a fork."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from backlane.core.storage import Search
from backlane.errors import BacklaneError, SettingsError, StoreDamaged, StoreError
from backlane.outbound.folder import ArtifactFolder
from backlane.service.access import Caller
from backlane.simulator.server import Running
from backlane.store.database import Database
from backlane.store.upgrade import require_current
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from backlane.wiring import Service, build
from tests.conftest import Place, settings_for
from tests.story.acts import finished, submitted
from tests.values import small_app


@pytest.fixture
def database(tmp_path: Path):
    made = Database(f"sqlite:///{tmp_path}/backlane.db")
    require_current(made)
    yield made
    made.close()


def service_on(folder: Path, simulator: Running) -> Service:
    return build(settings_for(folder, simulator), types=small_app(), log=lambda line: None)


def cut(wal: bytes) -> bytes:
    return wal[: len(wal) * 2 // 3]


def torn(wal: bytes) -> bytes:
    return wal[:-1500] + bytes(1500)


def flipped(wal: bytes) -> bytes:
    at = len(wal) * 4 // 5
    return wal[:at] + bytes([wal[at] ^ 0x10]) + wal[at + 1 :]


@pytest.mark.parametrize("damage", [cut, torn, flipped])
async def test_a_damaged_end_of_the_log_leaves_a_whole_prefix_that_goes_on(
    place: Place, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    ana = await place.caller()
    jobs = [await submitted(place, ana) for _ in range(8)]
    folder = tmp_path / "after"
    folder.mkdir()
    # A copy by another process: closing the file in this one would drop SQLite's locks on it.
    for name in ("backlane.db", "backlane.db-wal"):
        subprocess.run(["cp", str(tmp_path / name), str(folder / name)], check=True)
    wal = folder / "backlane.db-wal"
    wal.write_bytes(damage(wal.read_bytes()))
    after = service_on(folder, place.simulator)
    found = check(collect(after.store.database))
    assert found.ok, found.lines()
    left = [job.id for job in await after.store.read(lambda tx: tx.search(_all(ana)))]
    assert left == [job.id for job in jobs][: len(left)]
    assert 0 < len(left) < len(jobs)
    await after.start_worker()
    for job in jobs[: len(left)]:
        view = await finished(Place(after, place.simulator, after.settings), ana, job)
        assert view["status"] == "completed"
    await after.drain(grace=5)


def _all(caller: Caller) -> Search:
    return Search(workspace=caller.workspace, oldest_first=True)


def roots(path: Path) -> dict[str, int]:
    """Where each table and index begins, by name: its page's offset in the file."""
    with sqlite3.connect(path) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        found = connection.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 1").fetchall()
    connection.close()
    return {name: (page - 1) * size for name, page in found}


async def test_a_damaged_page_is_found_before_anything_is_bought(place: Place, tmp_path: Path) -> None:
    ana = await place.caller()
    for _ in range(3):
        await submitted(place, ana)
    await place.service.drain()
    whole = (tmp_path / "backlane.db").read_bytes()
    offsets = roots(tmp_path / "backlane.db")
    assert len(offsets) > 20
    for name, offset in offsets.items():
        folder = tmp_path / "broken" / name
        folder.mkdir(parents=True)
        broken = whole[:offset] + bytes([whole[offset] ^ 0x40]) + whole[offset + 1 :]
        (folder / "backlane.db").write_bytes(broken)
        with pytest.raises(StoreDamaged, match=r"damaged.*restore a backup.*doctor --restored"):
            service_on(folder, place.simulator).lock_worker()
        assert (folder / "backlane.db").read_bytes() == broken, name
        shutil.rmtree(folder)


async def test_after_damage_was_met_nothing_is_written_any_more(place: Place, tmp_path: Path) -> None:
    ana = await place.caller()
    await submitted(place, ana)
    await place.service.drain()
    path = tmp_path / "backlane.db"
    content = bytearray(path.read_bytes())
    content[roots(path)["events"]] ^= 0x40
    path.write_bytes(bytes(content))
    after = service_on(tmp_path, place.simulator)
    database = after.store.database
    again = Place(after, place.simulator, after.settings)
    with pytest.raises(StoreDamaged):
        await submitted(again, ana)
    with pytest.raises(StoreDamaged, match="restore a backup"):
        database.write_now(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)"))
    with pytest.raises(StoreDamaged):
        await database.write(lambda connection: None)
    assert len(await after.store.read(lambda tx: tx.search(_all(ana)))) == 1
    await after.drain(grace=5)


def test_a_connection_is_of_the_process_that_opened_it(database: Database) -> None:
    def in_a_fork() -> str:
        told: list[str] = []
        for use in (database.read_now, database.write_now):
            try:
                use(lambda connection: connection.exec_driver_sql("SELECT 1"))
                told.append("used")
            except StoreError as error:
                told.append(str(error))
        database.close()
        return "\n".join(told)

    told = forked(in_a_fork).splitlines()
    assert len(told) == 2
    assert all(f"opened by process {os.getpid()}" in line and "after forking" in line for line in told)
    database.write_now(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)"))


def forked(body: Callable[[], str]) -> str:
    """What the body says in a forked child."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = body()
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def refusal(folder: Path, simulator: Running, **changes: str) -> str:
    """The one line a start is refused with."""
    try:
        build(settings_for(folder, simulator, **changes), types=small_app())
    except BacklaneError as error:
        return f"{type(error).__name__}: {error}"
    return "started"


def test_a_place_that_cannot_be_used_refuses_the_start_in_one_line(
    tmp_path: Path, simulator: Running
) -> None:
    (tmp_path / "file").write_text("a file")
    places = {
        "database_url": [f"sqlite:///{tmp_path}/file/x.db", "sqlite:////proc/nowhere/x.db"],
        "artifacts_url": [f"file:{tmp_path}/file", f"file:{tmp_path}/file/sub", "file:/proc/nowhere"],
    }
    for setting, urls in places.items():
        for url in urls:
            told = refusal(tmp_path, simulator, **{setting: url})
            assert told.startswith(f"SettingsError: BACKLANE_{setting.upper()}: cannot "), told
            assert "make the folder writable" in told
            assert len(told.splitlines()) == 1


def test_a_read_only_folder_refuses_the_start_in_one_line(tmp_path: Path, simulator: Running) -> None:
    closed = Path("/tmp") / f"backlane-closed-{os.getpid()}"
    closed.mkdir(mode=0o755)
    try:
        closed.chmod(0o555)

        def as_somebody() -> str:
            if os.getuid() == 0:
                os.setuid(65534)  # root may write anywhere
            told = [refusal(closed, simulator, database_url=f"sqlite:///{closed}/backlane.db")]
            try:
                ArtifactFolder(closed).prepare()
            except SettingsError as error:
                told.append(str(error))
            return "\n".join(told)

        database, artifacts = forked(as_somebody).splitlines()
        assert "BACKLANE_DATABASE_URL: cannot write" in database
        assert "permission denied; make the folder writable" in database
        assert "BACKLANE_ARTIFACTS_URL: cannot write" in artifacts
    finally:
        closed.chmod(0o755)
        shutil.rmtree(closed)

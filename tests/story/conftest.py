"""Fixtures that stories share."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.simulator.server import Running
from backlane.store.database import Database
from backlane.store.upgrade import upgrade
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.deadly import deadly_app
from tests.story.tool_types import Ledger, tool_app


@pytest.fixture
def ledger() -> Ledger:
    """What the tools were called with."""
    return Ledger()


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Settings for a service on each database: the file of its own that it has anyway, or a real PostgreSQL."""
    if request.param == "sqlite":
        return {}
    server = request.getfixturevalue("postgres_server")
    name = f"t{secrets.token_hex(8)}"
    server.psql(f"CREATE DATABASE {name};")
    made = Database(server.get_uri(name))
    upgrade(made)
    made.close()
    return {"database_url": server.get_uri(name), "secret": "s" * 40}


@pytest.fixture
async def helping(tmp_path: Path, simulator: Running, ledger: Ledger) -> AsyncIterator[Place]:
    """A service with tool types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=tool_app(ledger), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    ledger.held.set()
    ledger.blocked.set()
    await service.drain(grace=5)


@pytest.fixture
async def outside(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service without a worker, beside the worker processes that the test starts."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=deadly_app(), log=lambda line: None)
    yield Place(service, simulator, settings)
    await service.drain(grace=5)

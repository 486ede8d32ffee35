"""Fixtures that stories share."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.migrated import postgres_url
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
    return {"database_url": postgres_url(request.getfixturevalue("postgres_server")), "secret": "s" * 40}


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

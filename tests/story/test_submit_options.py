"""How a job is to run, said on the command line and by both clients: each option reaches the job and the provider."""

import asyncio
import json
from typing import Any

import pytest

from backlane.async_client import AsyncClient
from backlane.client import Client
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import finished, seen, verified
from tests.story.commands import command, served
from tests.story.test_windows import QUICK, bodies, script, windowed_app


@pytest.fixture
async def desk(tmp_path: Any, simulator: Running) -> Any:
    """A service that runs, with types that have windows."""
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=windowed_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


async def test_a_window_an_account_and_a_lane_are_said_on_the_command_line(desk: Place) -> None:
    script(desk, QUICK)
    async with served(desk) as address:
        env = {"BACKLANE_URL": address, "BACKLANE_API_KEY": await desk.key("root", "admin")}
        told = await command(
            env,
            *("submit", "digest", "--input", "text=Otters rest in kelp.", "--window", "8h"),
            *("--account", "acme", "--lane", "background", "--user", "u-17", "--json"),
        )
        assert told.code == 0, told.err
        job = json.loads(told.out)
        assert (job["window"], job["account"], job["lane"], job["user"]) == (
            "8h",
            "acme",
            "background",
            "u-17",
        )
        wrong = await command(env, "submit", "digest", "--input", "text=x", "--window", "3h")
        assert wrong.code == 2
        assert "3h" in wrong.err and "8h" in wrong.err
    caller = await desk.caller("root", "admin")
    await seen(desk, caller, job["id"], lambda view: view["status"] == "completed")
    assert [body.get("background_options") for body in bodies(desk)] == [{"completion_window": "8h"}]
    verified(desk)


async def test_soonest_on_the_command_line_is_stronger_than_the_type_s_window(desk: Place) -> None:
    async with served(desk) as address:
        env = {"BACKLANE_URL": address, "BACKLANE_API_KEY": await desk.key()}
        told = await command(
            env, "submit", "by-type", "--input", "text=Otters.", "--window", "soonest", "--json"
        )
        plain = await command(env, "submit", "by-type", "--input", "text=Otters.", "--json")
    assert json.loads(told.out)["window"] == "soonest"
    assert json.loads(plain.out)["window"] == "2h"


async def test_live_on_the_command_line_makes_a_live_job(desk: Place) -> None:
    async with served(desk) as address:
        env = {"BACKLANE_URL": address, "BACKLANE_API_KEY": await desk.key()}
        told = await command(env, "submit", "digest", "--input", "text=Otters rest.", "--live", "--json")
    assert told.code == 0, told.err
    assert json.loads(told.out)["live"] is True


async def test_both_clients_say_the_same_options(desk: Place) -> None:
    options: dict[str, Any] = {"window": "2h", "account": "acme", "lane": "background"}
    script(desk, QUICK, times=2)
    async with served(desk) as address:
        key = await desk.key()

        def asked() -> Any:
            with Client(address, key) as client:
                return client.submit("digest", {"text": "Otters."}, **options)

        blocking = await asyncio.to_thread(asked)
        async with AsyncClient(address, key) as client:
            awaited = await client.submit("digest", {"text": "Otters."}, **options)
    ana = await desk.caller()
    for handle in (blocking, awaited):
        assert {name: handle.data[name] for name in options} == options
        job = await desk.service.store.read(lambda tx, i=handle.id: tx.job(i))
        assert job is not None
        assert (await finished(desk, ana, job))["status"] == "completed"

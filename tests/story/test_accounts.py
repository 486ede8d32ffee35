"""Several provider accounts: each workspace's money and runs stay with its own, whatever changes in the settings."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane import App
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running, running_simulator
from backlane.store.tables import events
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import events_of, finished, script, seen, submitted, verified
from tests.story.filed import PDF, alive, asked, calls, filed_app, sent_in, tidied
from tests.story.steer_types import steer_app
from tests.story.test_tools_stopped import until
from tests.values import small_app


@pytest.fixture
def other() -> Iterator[Running]:
    """A second provider."""
    with running_simulator(seed=4, speed=20.0) as running:
        yield running


class Service:
    """A service with an accounts file that can be changed and read again by a restart."""

    def __init__(self, folder: Path, simulator: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.simulator = folder, simulator
        self.file = folder / "accounts.toml"
        monkeypatch.setenv("A_KEY", "sk-canary-first-account")
        monkeypatch.setenv("B_KEY", "sk-canary-second-account")

    async def start(
        self, text: str, types: App | None = None, *, worker: bool = True, **changes: Any
    ) -> Place:
        """Start with this file; end it with `place.service.drain()`."""
        self.file.write_text(text)
        given = {"openai_api_key": None, "openai_base_url": None, "accounts_file": str(self.file)}
        settings = settings_for(self.folder, self.simulator, **{**given, **changes})
        service = build(settings, types=types or small_app(), log=lambda line: None)
        if worker:
            await service.start_worker()
        return Place(service, self.simulator, settings)


@pytest.fixture
def service(tmp_path: Path, simulator: Running, monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(tmp_path, simulator, monkeypatch)


def account(name: str, provider: Running, key: str = "A_KEY", **more: Any) -> str:
    fields = {"key": f"env:{key}", "base_url": provider.base_url, "simulated": True, **more}
    lines = [
        f"{field} = {str(value).lower() if isinstance(value, bool) else repr(value)}"
        for field, value in fields.items()
    ]
    return "\n".join([f"[accounts.{name}]", *lines, ""])


def feed(place: Place, *kinds: str) -> list[str]:
    """The codes of the workspaces' own events of these kinds."""
    wanted = events.select().where(events.c.type.in_(kinds), events.c.job_id.is_(None))
    rows = place.service.store.database.read_now(
        lambda connection: connection.execute(wanted).mappings().all()
    )
    return [json.loads(row["data"])["code"] for row in rows]


async def tried(place: Place, at_least: int) -> None:
    """The one incident was tried so often."""
    for _ in range(600):
        found = await place.service.store.read(lambda tx: tx.incidents())
        if found and found[0]["probes"] >= at_least:
            return
        await place.service.ports.clock.sleep(10)
    raise AssertionError(found)


async def test_each_workspace_buys_at_its_own_account(
    service: Service, simulator: Running, other: Running
) -> None:
    place = await service.start(
        account("one", simulator, workspaces=["main"]) + account("two", other, "B_KEY", workspaces=["side"])
    )
    ana, bob = await place.caller("ana"), await place.caller("bob", workspace="side")
    views = [await finished(place, who, await submitted(place, who)) for who in (ana, bob)]
    assert [view["provider_account"] for view in views] == ["one", "two"]
    for view, provider in zip(views, (simulator, other), strict=True):
        assert view["status"] == "completed"
        bought = [line for line in provider.world.log if line["call"] == "create"]
        assert [line["metadata"]["backlane_job"] for line in bought] == [view["id"]]
    nobody = await place.caller("eve", workspace="third")
    with pytest.raises(Exception, match="no provider account"):
        await submitted(place, nobody)
    await place.service.drain()


async def test_a_simulated_account_is_said_wherever_money_or_output_is_shown(
    service: Service, simulator: Running, other: Running
) -> None:
    """The second account pretends to be a real one: only what the settings say counts."""
    place = await service.start(
        account("toy", simulator, workspaces=["main"])
        + account("real", other, simulated=False, workspaces=["side"])
    )
    marks = {"main": True, "side": False}
    for workspace, mark in marks.items():
        who = await place.caller(workspace=workspace)
        view = await finished(place, who, await submitted(place, who))
        assert view["simulated"] is view["cost"]["simulated"] is mark
        assert {row["simulated"] for row in view["artifacts"]} == {mark}
        lines = await place.service.store.read(lambda tx, view=view: tx.cost_lines(view["id"]))
        assert [line["simulated"] for line in lines] == [mark]
        headers = {"Authorization": f"Bearer {await place.key(workspace=workspace)}"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=place.app()), base_url="http://x", headers=headers
        ) as http:
            content = await http.get(f"/v1/artifacts/{view['artifacts'][0]['id']}/content")
            told = await http.get(f"/v1/jobs/{view['id']}/events", headers={"Accept": "text/event-stream"})
        assert content.headers.get("backlane-simulated") == ("true" if mark else None)
        sent = [json.loads(line[6:]) for line in told.text.splitlines() if line.startswith("data: ")]
        assert {one["type"] for one in sent} >= {"output.final", "cost.settled"}
        assert {one["simulated"] for one in [*sent, *await events_of(place, who, view["id"])]} == {mark}
    assert check(collect(place.service.store.database)).ok
    await place.service.drain()


async def test_a_new_key_behind_a_reference_loses_no_open_run(
    service: Service, simulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await service.start(account("one", simulator))
    ana = await place.caller()
    script(place, {"running_seconds": 500})
    job = await submitted(place, ana)
    await seen(place, ana, job.id, lambda view: view["status"] == "running")
    await place.service.drain()
    monkeypatch.setenv("A_KEY", "sk-canary-the-rotated-one")
    place = await service.start(account("one", simulator))
    simulator.advance(600)
    view = await finished(place, ana, job)
    assert (view["status"], len(view["attempts"])) == ("completed", 1)
    assert simulator.world.stats()["creates"] == 1
    verified(place)
    await place.service.drain()


async def test_a_retired_account_is_followed_and_buys_nothing_more(
    service: Service, simulator: Running, other: Running
) -> None:
    place = await service.start(account("old", simulator, workspaces=["main"]))
    ana = await place.caller()
    script(place, {"running_seconds": 500})
    open_run = await submitted(place, ana)
    await seen(place, ana, open_run.id, lambda view: view["status"] == "running")
    simulator.faults({"fault": "quota", "times": None})
    waiting = await submitted(place, ana)
    await seen(place, ana, waiting.id, lambda view: view["phase"] == "incident")
    await place.service.drain()
    old = account("old", simulator, retired=True, workspaces=["main"])
    place = await service.start(old + account("new", other, "B_KEY", workspaces=["main"]))
    before = simulator.world.stats()["creates"]
    simulator.advance(600)
    followed = await finished(place, ana, open_run)
    assert (followed["status"], followed["provider_account"]) == ("completed", "old")
    # Nothing of the retired account was asked for again, and what waited for it was bought at the new one.
    moved = await finished(place, ana, waiting)
    assert (moved["status"], moved["provider_account"]) == ("completed", "new")
    assert [one["provider_account"] for one in moved["attempts"]] == ["old", "new"]
    changes = [event for event in await events_of(place, ana, waiting.id) if event["type"] == "lane.changed"]
    assert [(event["data"]["code"], event["data"]["account"]) for event in changes] == [
        ("account_retired", "new")
    ]
    fresh = await finished(place, ana, await submitted(place, ana))
    assert fresh["provider_account"] == "new"
    assert simulator.world.stats()["creates"] == before
    assert other.world.stats()["creates"] == 2
    # What held the old account's lane is over with its last job: nobody looks for an alert that nothing can end.
    assert await place.service.store.read(lambda tx: tx.incidents()) == []
    assert feed(place, "alert.raised", "alert.cleared") == ["insufficient_quota"] * 2
    verified(place)
    await place.service.drain()


async def test_what_holds_a_retired_account_is_over_when_nobody_waits_there(
    service: Service, simulator: Running
) -> None:
    place = await service.start(account("old", simulator), worker=False)
    ana = await place.caller()
    job = await submitted(place, ana)
    await place.service.drain()
    place = await service.start(account("old", simulator, retired=True))
    await seen(place, ana, job.id, lambda view: view["phase"] == "incident")
    await tried(place, 1)
    assert feed(place, "alert.cleared") == []
    await control.cancel(place.service.ports, ana, job.id, None)
    await until(lambda: feed(place, "alert.cleared") == ["account_retired"])
    verified(place)
    await place.service.drain()


async def test_a_retired_account_without_a_successor_is_asked_about_by_one_job_at_a_time(
    service: Service, simulator: Running, other: Running
) -> None:
    place = await service.start(account("old", simulator), worker=False)
    ana, bob = await place.caller("ana"), await place.caller("bob", workspace="side")
    mine, theirs = await submitted(place, ana), await submitted(place, bob)
    await place.service.drain()
    old = account("old", simulator, retired=True)
    place = await service.start(old)
    for who, job in ((ana, mine), (bob, theirs)):
        await seen(place, who, job.id, lambda view: view["phase"] == "incident")
    await tried(place, 2)
    for who, job in ((ana, mine), (bob, theirs)):
        told = [event["type"] for event in await events_of(place, who, job.id)]
        assert told.count("job.waiting") == 1
    await place.service.drain()
    # One workspace has another account: what holds the other's job stays.
    third = account("third", other, "B_KEY", workspaces=["third"])
    place = await service.start(old + third + account("new", other, "B_KEY", workspaces=["main"]))
    assert (await finished(place, ana, mine))["provider_account"] == "new"
    assert (await read_job(place.service.ports, bob, theirs.id))["phase"] == "incident"
    assert feed(place, "alert.cleared") == []
    await place.service.drain()
    place = await service.start(old + account("new", other, "B_KEY", workspaces=["main", "side"]))
    assert (await finished(place, bob, theirs))["provider_account"] == "new"
    assert feed(place, "alert.raised") == feed(place, "alert.cleared") == ["account_retired"] * 2
    verified(place)
    await place.service.drain()
    assert simulator.world.stats()["creates"] == 0


async def test_an_interactive_job_moves_to_a_server_without_background_mode(
    service: Service, simulator: Running, other: Running
) -> None:
    place = await service.start(account("old", simulator), steer_app(), worker=False)
    ana = await place.caller()
    chat = await submitted(place, ana, "chat")
    await place.service.drain()
    other.world.switches.background = False
    new = account("new", other, "B_KEY", background=False, workspaces=["main"])
    place = await service.start(account("old", simulator, retired=True) + new, steer_app())
    view = await finished(place, ana, chat)
    assert (view["status"], view["provider_account"], view["lane"]) == ("completed", "new", "interactive")
    assert simulator.world.stats()["creates"] == 0
    await place.service.drain()


async def test_one_content_is_uploaded_once_to_each_account_that_needs_it(
    service: Service, simulator: Running, other: Running
) -> None:
    """An account's copy is of no use to another: not even to the same workspace, for the same bytes."""
    given: dict[str, Any] = {"types": filed_app(), "file_inline_at_most": 0}
    place = await service.start(account("old", simulator, workspaces=["main"]), **given)
    ana = await place.caller()
    file = await sent_in(place, ana, PDF)
    script(place, {"running_seconds": 500})
    first = await asked(place, ana, file)
    await seen(place, ana, first.id, lambda view: view["status"] == "running")
    await finished(place, ana, await asked(place, ana, file))
    await place.service.drain()
    old = account("old", simulator, retired=True, workspaces=["main"])
    place = await service.start(old + account("new", other, "B_KEY", workspaces=["main"]), **given)
    other.world.script({"match": {}, "then": {"running_seconds": 500}, "times": 1})
    second = await asked(place, ana, file)
    await seen(place, ana, second.id, lambda view: view["status"] == "running")
    third = await finished(place, ana, await asked(place, ana, await sent_in(place, ana, PDF, "again.pdf")))
    assert (third["status"], third["provider_account"]) == ("completed", "new")
    at_new = Place(place.service, other, place.settings)
    for at in (place, at_new):
        assert (len(calls(at, "file_upload")), len(calls(at, "create")), alive(at)) == (1, 2, 1)
    for provider, job in ((simulator, first), (other, second)):
        provider.advance(600)
        assert (await finished(place, ana, job))["status"] == "completed"
    await tidied(place)
    assert (alive(place), alive(at_new)) == (0, 0)
    await place.service.drain()


async def test_an_account_that_went_away_holds_its_jobs_with_one_alert_until_it_is_back(
    service: Service, simulator: Running, other: Running
) -> None:
    first = account("one", simulator, workspaces=["main"])
    place = await service.start(first)
    ana = await place.caller()
    script(place, {"running_seconds": 500})
    running = await submitted(place, ana)
    await seen(place, ana, running.id, lambda view: view["status"] == "running")
    await place.service.drain()
    place = await service.start(account("two", other, "B_KEY", workspaces=["side"]))
    view = await seen(place, ana, running.id, lambda view: view["attempts"][0]["state"] == "accepted")
    assert view["status"] == "running"
    for _ in range(200):
        raised = await place.service.store.read(lambda tx: tx.incidents())
        if raised:
            break
        await place.service.ports.clock.sleep(10)
    assert [(row["provider_account"], row["code"]) for row in raised] == [("one", "no_provider_key")]
    await place.service.drain()
    place = await service.start(first)
    simulator.advance(600)
    view = await finished(place, ana, running)
    assert (view["status"], len(view["attempts"])) == ("completed", 1)
    assert await place.service.store.read(lambda tx: tx.incidents()) == []
    verified(place)
    await place.service.drain()


async def test_a_simulated_job_never_turns_into_a_real_purchase(
    service: Service, simulator: Running, other: Running
) -> None:
    place = await service.start(account("one", simulator))
    ana = await place.caller()
    simulator.faults({"fault": "quota", "times": None})
    job = await submitted(place, ana)
    await seen(place, ana, job.id, lambda view: view["phase"] == "incident")
    await place.service.drain()
    place = await service.start(account("one", other, simulated=False))
    view = await finished(place, ana, job)
    assert (view["status"], view["failure"]["code"]) == ("failed", "account_changed")
    assert other.world.stats()["creates"] == 0
    assert (await read_job(place.service.ports, ana, job.id))["simulated"] is True
    await place.service.drain()


async def test_a_server_without_background_mode_is_refused_with_the_reason(
    service: Service, simulator: Running
) -> None:
    place = await service.start(account("plain", simulator, background=False))
    ana = await place.caller()
    with pytest.raises(Exception, match="the provider account has no background mode"):
        await submitted(place, ana)
    assert simulator.world.stats()["creates"] == 0
    await place.service.drain()

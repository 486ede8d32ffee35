"""Hard budgets: what could pass one is not sent, waits for money, and goes on by itself once there is some."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backlane.core.budget import period_end
from backlane.core.job import AttemptReason, AttemptState, Job
from backlane.core.storage import Transaction
from backlane.service.budgets import list_budgets, set_budget
from backlane.service.intent import intent
from backlane.service.read import read_job
from backlane.service.reserve import reserve, room_for
from backlane.simulator.server import Running
from backlane.store.tables import cost_lines
from backlane.store.tables import jobs as jobs_table
from backlane.store.tables_budgets import budgets as budgets_table
from backlane.store.tables_budgets import reservations
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.migrated import postgres_url
from tests.story.acts import creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.test_stopped_at_once import Uncommitted, waiting
from tests.story.tool_types import Ledger
from tests.values import small_app

DAY = 86_400_000


async def capped(place: Place, limit: str | None, scope: str = "workspace", **more: Any) -> None:
    """An admin sets a budget."""
    given = {"period": "month", "assume": None, "name": None, **more}
    await set_budget(
        place.service.ports,
        await place.caller("ada", "admin"),
        scope,
        given.pop("name"),
        limit=limit,
        **given,
    )


async def budget(place: Place, scope: str = "workspace", workspace: str = "main") -> dict[str, Any]:
    """A budget as it stands."""
    ada = await place.caller("ada", "admin", workspace)
    found = await list_budgets(place.service.ports, ada)
    return next(one for one in found if one["scope"] == scope)


def waits(view: dict[str, Any]) -> bool:
    return view["phase"] == "budget"


def told(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["data"] for event in events if event["type"] == kind]


def move_times(place: Place, by: int) -> None:
    """Everything that budgets count happened so much earlier."""

    def body(connection: Any) -> None:
        for table, columns in ((reservations, ("at", "unpriced_at")), (cost_lines, ("booked_at",))):
            for name in columns:
                connection.execute(table.update().values({name: table.c[name] - by}))
        moved = {"spent_since": budgets_table.c.spent_since - by, "since": budgets_table.c.since - by}
        connection.execute(budgets_table.update().values(**moved))

    place.service.store.database.write_now(body)


async def test_a_loop_that_would_spend_is_stopped_at_the_cap_and_goes_on_when_it_is_raised(
    working: Place,
) -> None:
    ana = await working.caller()
    await capped(working, "2.50")
    script(working, {"running_seconds": 500}, times=None)
    sent = [await submitted(working, ana, max_cost="1") for _ in range(2)]
    for job in sent:
        await seen(working, ana, job.id, lambda view: view["status"] == "running")
    more = [await submitted(working, ana, max_cost="1") for _ in range(3)]
    for job in more:
        view = await seen(working, ana, job.id, waits)
        assert view["progress"]["text"] == "Waiting for budget"
        assert "the workspace's monthly budget" in view["waiting_on"] and view["cost"]["reserved"] is None
    assert creates(working) == 2
    now = await budget(working)
    assert (now["reserved"], now["left"], now["waiting"]) == ("2", "0.50", 3)
    assert (await read_job(working.service.ports, ana, sent[0].id))["cost"]["reserved"] == "1"
    await capped(working, "5.00")
    for job in more:
        await seen(working, ana, job.id, lambda view: view["status"] == "running")
    events = await events_of(working, ana, more[0].id)
    assert [one["budget"] for one in told(events, "budget.held")] == ["workspace"]
    assert told(events, "budget.lifted") == [{"budget": "workspace"}]
    working.simulator.advance(600)
    for job in [*sent, *more]:
        assert (await finished(working, ana, job))["cost"]["reserved"] == "0"
    settled = await budget(working)
    assert settled["reserved"] == "0" and Decimal(settled["spent"]) > 0 and settled["waiting"] == 0
    verified(working)


async def test_it_goes_on_by_itself_in_the_next_period(working: Place) -> None:
    ana = await working.caller()
    await capped(working, "1.00", period="day")
    script(working, {"running_seconds": 500}, times=None)
    first = await submitted(working, ana, max_cost="1")
    await seen(working, ana, first.id, lambda view: view["status"] == "running")
    later = await submitted(working, ana, max_cost="1")
    view = await seen(working, ana, later.id, waits)
    now = working.service.ports.clock.now()
    midnight = datetime.fromtimestamp((period_end("day", now) or 0) / 1000, UTC)
    assert f"begins anew at {midnight:%Y-%m-%dT00:00:00}" in view["waiting_on"]
    working.simulator.advance(600)
    await finished(working, ana, first)
    spent = Decimal((await budget(working))["spent"])
    assert spent > 0
    # What is left is less than a run may cost: only the next day lets it go.
    await look_again(working, later)
    assert waits(await read_job(working.service.ports, ana, later.id))
    move_times(working, DAY)
    assert Decimal((await budget(working))["spent"]) == 0
    await look_again(working, later)
    await seen(working, ana, later.id, lambda view: view["status"] == "running")
    working.simulator.advance(600)
    assert (await finished(working, ana, later))["status"] == "completed"
    assert 0 < Decimal((await budget(working))["spent"]) <= spent * 2
    verified(working)


async def look_again(place: Place, job: Job) -> None:
    """Its timer runs out."""
    ports = place.service.ports
    now = ports.clock.now()
    await ports.store.write(lambda tx: tx.let_on([(job.id, now)]))
    ports.notify()
    await asyncio.sleep(0.1)


@pytest.mark.parametrize("seed", range(2))
async def test_two_services_never_pass_the_cap_together(
    tmp_path: Path, simulator: Running, database: dict[str, Any], seed: int
) -> None:
    """Twenty jobs at once for the last dollars; one SQLite file has one worker, which takes them all at once."""
    settings = settings_for(tmp_path, simulator, **database)
    services = [
        build(settings, types=small_app(), log=lambda line: None) for _ in range(1 + len(database) // 2)
    ]
    place = Place(services[0], simulator, settings)
    ana = await place.caller()
    await capped(place, "5.00", period="total")
    script(place, {"running_seconds": 500}, times=5)
    jobs = [await submitted(place, ana, max_cost="1") for _ in range(20)]
    for service in services:
        await service.start_worker()
    views = [
        await seen(place, ana, job.id, lambda view: waits(view) or view["status"] == "running")
        for job in jobs
    ]
    assert [waits(view) for view in views].count(True) == 15 and creates(place) == 5
    now = await budget(place)
    assert (now["reserved"], now["left"], now["waiting"]) == ("5", "0.00", 15)
    verified(place)
    # Each that ends frees what it did not spend, and that wakes some that wait: nobody has to raise the cap.
    simulator.advance(600)
    ended = [await finished(place, ana, job) for job in jobs]
    assert {view["status"] for view in ended} == {"completed"} and creates(place) == 20
    assert (await budget(place))["reserved"] == "0"
    verified(place)
    for service in services:
        await service.drain(grace=5)


async def test_a_refused_create_frees_and_a_lost_reply_keeps(working: Place) -> None:
    ana = await working.caller()
    await capped(working, "1.00")
    fault(working, "status", status=400, code="invalid_prompt")
    refused = await finished(working, ana, await submitted(working, ana, max_cost="1"))
    assert (refused["attempts"][0]["state"], refused["cost"]["reserved"]) == ("refused", "0")
    assert (await budget(working))["reserved"] == "0"
    fault(working, "lose_create_reply")
    lost = await finished(working, ana, await submitted(working, ana, max_cost="1"))
    assert (lost["phase"], lost["cost"]["reserved"]) == ("submission_unknown", "1")
    # Nobody knows whether it was bought: its money stays put aside.
    later = await submitted(working, ana, max_cost="1")
    await seen(working, ana, later.id, waits)
    assert (await budget(working))["reserved"] == "1"
    verified(working)


@pytest.mark.parametrize("name", ["missing_usage", "garbled_usage"])
async def test_a_run_whose_cost_nobody_knows_counts_until_the_period_ends(working: Place, name: str) -> None:
    ana = await working.caller()
    await capped(working, "1.00", period="day", assume="0.75")
    fault(working, name)
    done = await finished(working, ana, await submitted(working, ana))
    assert (done["status"], done["cost"]["settled"], done["cost"]["reserved"]) == ("completed", None, "0")
    now = await budget(working)
    assert (now["spent"], now["reserved"], now["left"]) == ("0", "0.75", "0.25")
    later = await submitted(working, ana)
    await seen(working, ana, later.id, waits)
    verified(working)
    move_times(working, DAY)
    assert (await budget(working))["reserved"] == "0"
    await look_again(working, later)
    assert (await finished(working, ana, later))["status"] == "completed"


async def test_a_run_that_is_out_over_midnight_counts_in_both_periods(working: Place) -> None:
    """What it costs will be booked in the new one: there it may not be forgotten."""
    ana = await working.caller()
    await capped(working, "1.00", period="day")
    script(working, {"running_seconds": 500})
    first = await submitted(working, ana, max_cost="1")
    await seen(working, ana, first.id, lambda view: view["status"] == "running")
    move_times(working, DAY)
    second = await submitted(working, ana, max_cost="1")
    await seen(working, ana, second.id, waits)
    move_times(working, DAY)
    assert (await budget(working))["reserved"] == "1"
    # Once its job has ended, it counts for as long as somebody still asks what it cost: a day.
    over = {"status": "canceled", "phase": None, "finished_at": 1}
    ended = jobs_table.update().where(jobs_table.c.id == first.id).values(**over)
    working.service.store.database.write_now(lambda connection: connection.execute(ended))
    assert (await budget(working))["reserved"] == "0"


async def test_a_type_and_an_account_have_budgets_of_their_own(working: Place) -> None:
    ana = await working.caller()
    await capped(working, "1.00", "type", name="digest")
    await capped(working, "2.00", "account", name="acme")
    script(working, {"running_seconds": 500}, times=None)
    sent = [
        await submitted(working, ana, max_cost="1", account="acme"),
        await submitted(working, ana, "plain", max_cost="1", account="acme"),
        await submitted(working, ana, "plain", max_cost="1", account="globex"),
    ]
    for job in sent:
        await seen(working, ana, job.id, lambda view: view["status"] == "running")
    assert (await read_job(working.service.ports, ana, sent[0].id))["cost"]["reserved"] == "1"
    of_type = await submitted(working, ana, max_cost="1", account="globex")
    of_account = await submitted(working, ana, "plain", max_cost="1", account="acme")
    assert "its job type's monthly" in (await seen(working, ana, of_type.id, waits))["waiting_on"]
    assert "its account's monthly" in (await seen(working, ana, of_account.id, waits))["waiting_on"]
    assert [(await budget(working, scope))["waiting"] for scope in ("account", "type")] == [1, 1]
    # A cap that is taken away holds nobody any more.
    await capped(working, None, "type", name="digest")
    await seen(working, ana, of_type.id, lambda view: view["status"] == "running")
    assert waits(await read_job(working.service.ports, ana, of_account.id))
    verified(working)


async def test_another_workspace_is_neither_held_nor_shown(working: Place) -> None:
    eve = await working.caller("eve", workspace="other")
    await capped(working, "0")
    ana = await working.caller()
    held = await submitted(working, ana)
    await seen(working, ana, held.id, waits)
    theirs = await finished(working, eve, await submitted(working, eve))
    assert (theirs["status"], theirs["cost"]["reserved"]) == ("completed", None)
    root = await working.caller("root", "admin", "other")
    assert await list_budgets(working.service.ports, root) == []
    verified(working)


async def test_a_next_turn_waits_for_money_too(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    await capped(helping, "1.00", assume="0.9999999999")
    call = {"name": "count_orders", "arguments": {"email": "anna@example.com"}}
    script(helping, {"tool_calls": [call]})
    job = await submitted(helping, ana, "helped")
    view = await seen(helping, ana, job.id, waits)
    assert (len(ledger.calls), creates(helping)) == (1, 1)
    assert [one["state"] for one in view["attempts"]] == ["completed", "planned"]
    await capped(helping, "3.00")
    assert (await finished(helping, ana, job))["status"] == "completed"
    assert creates(helping) == 2
    verified(helping)


async def test_a_send_waits_for_a_reservation_that_is_being_committed(
    postgres_server: Any, tmp_path: Path, simulator: Running
) -> None:
    """Another process has taken the last dollar, and not committed it yet."""
    url = postgres_url(postgres_server)
    settings = settings_for(tmp_path, simulator, database_url=url, secret="s" * 40)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ports, ana = place.service.ports, await place.caller()
    await capped(place, "1.00")
    tomorrow = ports.clock.now() + DAY
    rival = await submitted(place, ana, max_cost="1", not_before=tomorrow, useful_until=tomorrow + DAY)

    def take(_: Place, tx: Transaction) -> None:
        now = ports.clock.now()
        attempt = intent(ports, rival, 1, AttemptReason.FIRST, now)
        tx.insert_attempt(replace(attempt, state=AttemptState.ACCEPTED))
        reserve(tx, rival, attempt, room_for(tx, rival, now, lock=True), now)

    other = Uncommitted(place, take)
    await place.service.start_worker()
    job = await submitted(place, ana, max_cost="1")
    await seen(place, ana, job.id, lambda view: waiting(place) > 0 or creates(place) > 0)
    other.commit()
    await seen(place, ana, job.id, lambda view: waits(view) or creates(place) > 0)
    assert creates(place) == 0
    await place.service.drain(grace=5)

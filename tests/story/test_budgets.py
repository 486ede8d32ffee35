"""Hard budgets: what could pass one is not sent, waits for money, and goes on by itself once there is some."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backlane.core.budget import period_end
from backlane.core.job import Job
from backlane.service.budgets import list_budgets, set_budget
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.store.people import audit as audit_table
from backlane.store.tables import cost_lines
from backlane.store.tables_budgets import budgets as budgets_table
from backlane.store.tables_budgets import reservations
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, events_of, fault, finished, script, seen, submitted, verified
from tests.values import small_app

DAY = 86_400_000


async def capped(place: Place, limit: str | None, scope: str = "workspace", **more: Any) -> None:
    """An admin sets a budget."""
    given = {"period": "month", "assume": None, "name": None, **more}
    await set_budget(
        place.service.ports, await place.caller("ada", "admin"), scope, given.pop("name"), limit=limit, **given
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
        for table, columns in ((reservations, ("at",)), (cost_lines, ("booked_at",))):
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

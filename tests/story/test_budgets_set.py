"""Who sees and sets budgets: roles, the audit line, bad input, and the same on the command line."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backlane.core.budget import SETTLES
from backlane.simulator.server import Running
from backlane.store.tables import cost_lines
from backlane.store.tables_budgets import budgets as budgets_table
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.migrated import postgres_url
from tests.story.acts import finished, submitted, verified
from tests.story.asking import asking
from tests.story.commands import command, served
from tests.story.test_stopped_at_once import Uncommitted
from tests.values import small_app

CAP = {"scope": "workspace", "period": "month", "limit": "100"}


async def test_admins_set_operators_read_and_nobody_else_sees(place: Place) -> None:
    async with asking(place, "root", "admin") as root, asking(place, "olga", "operator") as olga:
        assert (await olga.put("/budgets", json=CAP)).status_code == 403
        assert (await root.get("/budgets")).json() == {"data": [], "next_cursor": None}
        made = await root.put("/budgets", json=CAP)
        assert made.status_code == 200
        [shown] = made.json()["data"]
        assert (shown["object"], shown["scope"], shown["name"], shown["period"]) == (
            "budget",
            "workspace",
            None,
            "month",
        )
        amounts = {"limit": "100", "assume": "1.00", "spent": "0", "reserved": "0", "left": "100"}
        assert {name: shown[name] for name in amounts} == amounts
        assert (shown["waiting"], shown["updated_by"]) == (0, "root")
        assert shown["resets_at"].endswith("-01T00:00:00.000Z")
        assert (await olga.get("/budgets")).json()["data"] == [shown]
    for role in ("submitter", "reviewer", "support"):
        async with asking(place, role, role) as http:
            for answer in (await http.get("/budgets"), await http.put("/budgets", json=CAP)):
                assert (answer.status_code, answer.json()["code"]) == (403, "role-required")
    async with asking(place, "eve", "admin", "other") as eve:
        assert (await eve.get("/budgets")).json()["data"] == []


async def test_each_change_is_one_line_of_the_audit_log_with_what_was_before(place: Place) -> None:
    async with asking(place, "root", "admin") as root:
        await root.put("/budgets", json=CAP)
        await root.put("/budgets", json={**CAP, "limit": "50", "assume": "0.10"})
        await root.put("/budgets", json={"scope": "workspace", "limit": None})
        # There is none to remove any more.
        assert (await root.put("/budgets", json={"scope": "workspace", "limit": None})).json()["data"] == []
        lines = (await root.get("/audit?action=budget.changed")).json()["data"]
    told = sorted((line["data"]["place"], line["data"]["from"], line["data"]["to"]) for line in lines)
    first = {"period": "month", "limit": "100", "assume": "1.00"}
    then = {"period": "month", "limit": "50", "assume": "0.10"}
    assert told == [(1, None, first), (2, first, then), (3, then, None)]
    assert {(line["actor"], line["subject"]) for line in lines} == {("root", "workspace")}
    verified(place)


BAD: list[tuple[dict[str, Any], str]] = [
    ({**CAP, "scope": "planet"}, "/scope"),
    ({**CAP, "period": "week"}, "/period"),
    ({"scope": "workspace", "limit": "5"}, "/period"),
    ({"scope": "workspace", "period": "day"}, "/limit"),
    ({**CAP, "limit": "-1"}, "/limit"),
    ({**CAP, "limit": "1e3"}, "/limit"),
    ({**CAP, "limit": "NaN"}, "/limit"),
    ({**CAP, "limit": 100}, "/limit"),
    ({**CAP, "limit": "\u0661"}, "/limit"),
    ({**CAP, "assume": "0.00"}, "/assume"),
    ({**CAP, "name": "acme"}, "/name"),
    ({**CAP, "scope": "account"}, "/name"),
    ({**CAP, "scope": "account", "name": ""}, "/name"),
    ({**CAP, "scope": "account", "name": "a\nb"}, "/name"),
    ({**CAP, "scope": "type"}, "/name"),
    ({**CAP, "scope": "type", "name": "no-such"}, "/name"),
    ({**CAP, "hard": True}, "/hard"),
]


@pytest.mark.parametrize(("body", "pointer"), BAD)
async def test_a_budget_that_makes_no_sense_is_refused_with_a_pointer(
    place: Place, body: dict[str, Any], pointer: str
) -> None:
    async with asking(place, "root", "admin") as root:
        answer = await root.put("/budgets", json=body)
        assert answer.status_code == 422, answer.text
        assert pointer in [one["pointer"] for one in answer.json()["errors"]]
        assert (await root.get("/budgets")).json()["data"] == []


async def test_a_budget_that_is_set_late_counts_what_was_spent_before(working: Place) -> None:
    ana = await working.caller()
    done = await finished(working, ana, await submitted(working, ana))
    async with asking(working, "root", "admin") as root:
        [shown] = (await root.put("/budgets", json=CAP)).json()["data"]
        assert shown["spent"] == done["cost"]["settled"]
        # Once it is no longer new, what it counted then is what it goes on from.
        earlier = budgets_table.update().values(since=budgets_table.c.since - SETTLES)
        working.service.store.database.write_now(lambda connection: connection.execute(earlier))
        [shown] = (await root.get("/budgets")).json()["data"]
        assert shown["spent"] == done["cost"]["settled"]
        of_type = {**CAP, "scope": "type", "name": "checked"}
        shown = (await root.put("/budgets", json=of_type)).json()["data"][0]
        assert (shown["name"], shown["spent"]) == ("checked", "0")
    verified(working)


async def test_what_is_being_booked_as_a_budget_begins_is_not_lost(
    postgres_server: Any, tmp_path: Path, simulator: Running
) -> None:
    """Another process books a cost in a transaction that began before there was a budget, and ends after."""
    settings = settings_for(tmp_path, simulator, database_url=postgres_url(postgres_server), secret="s" * 40)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    await place.service.start_worker()
    ana, database = await place.caller(), place.service.store.database
    done = await finished(place, ana, await submitted(place, ana))
    [line] = await place.service.store.read(lambda tx: tx.cost_lines(done["id"]))
    database.write_now(lambda connection: connection.execute(cost_lines.delete()))
    other = Uncommitted(place, lambda _, tx: tx.keep_cost(line))
    async with asking(place, "root", "admin") as root:
        [shown] = (await root.put("/budgets", json=CAP)).json()["data"]
        assert shown["spent"] == "0"
        other.commit()
        [shown] = (await root.get("/budgets")).json()["data"]
        assert shown["spent"] == done["cost"]["settled"]
        # The next cost that is booked is added to all of it.
        more = await finished(place, ana, await submitted(place, ana))
        earlier = budgets_table.update().values(since=budgets_table.c.since - SETTLES)
        database.write_now(lambda connection: connection.execute(earlier))
        [shown] = (await root.get("/budgets")).json()["data"]
    assert Decimal(shown["spent"]) == Decimal(done["cost"]["settled"]) + Decimal(more["cost"]["settled"])
    await place.service.drain(grace=5)


async def test_the_command_line_lists_sets_and_removes(place: Place) -> None:
    async with served(place) as url:
        env = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await place.key("root", "admin")}
        assert "no budget is set" in (await command(env, "budgets")).err
        words = ("--scope", "account", "--name", "acme", "--limit", "9.50", "--period", "day")
        made = await command(env, "budgets", "set", *words)
        assert made.code == 0 and "9.50 left of 9.50 USD" in made.out and "account acme" in made.out
        assert '"assume": "1.00"' in (await command(env, "budgets", "--json")).out
        gone = await command(env, "budgets", "remove", "--scope", "account", "--name", "acme")
        assert (gone.code, gone.out) == (0, "")

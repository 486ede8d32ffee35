"""The checker can fail about budgets: each planted corruption of good evidence is found as I18."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants_budgets import BUDGET_INVARIANTS
from tests.conftest import Place
from tests.story.acts import fault, finished, script, seen, submitted
from tests.story.test_budgets import capped, look_again, move_times, waits

Rows = dict[str, Any]
DAY = 86_400_000


def found(rows: Rows) -> list[str]:
    return list(BUDGET_INVARIANTS["I18"](Evidence(**rows)))


async def evidence_of(place: Place) -> Rows:
    """One run that is settled, one refused, one unpriced, one lost and one out, each of a job that may cost 1."""
    ana = await place.caller()
    await capped(place, "100.00", period="day")
    await finished(place, ana, await submitted(place, ana, max_cost="1"))
    await capped(place, "4.50", period="day")
    fault(place, "status", status=400, code="invalid_prompt")
    await finished(place, ana, await submitted(place, ana, max_cost="1"))
    fault(place, "missing_usage")
    await finished(place, ana, await submitted(place, ana, max_cost="1"))
    fault(place, "lose_create_reply")
    await finished(place, ana, await submitted(place, ana, max_cost="1"))
    script(place, {"running_seconds": 500})
    out = await submitted(place, ana, max_cost="1")
    await seen(place, ana, out.id, lambda view: view["status"] == "running")
    held = await submitted(place, ana, max_cost="2")
    await seen(place, ana, held.id, waits)
    good = collect(place.service.store.database)
    rows = {name: copy.deepcopy(getattr(good, name)) for name in good.__dataclass_fields__}
    for table in ("reservations", "budgets", "cost_lines", "attempts", "audit"):
        rows[table] = [dict(row) for row in rows[table]]
    # As if the budget was a day old: what happened beside its beginning is judged gently.
    for row in rows["audit"]:
        row["at"] -= 60_000
    rows["budgets"][0]["since"] -= 60_000
    return rows


def of(rows: Rows, state: str) -> Rows:
    """The reservation of the attempt in this state that settled nothing odd."""
    attempts = {row["id"]: row["state"] for row in rows["attempts"]}
    mine = [row for row in rows["reservations"] if attempts[row["attempt_id"]] == state]
    return next(row for row in mine if row["unpriced_at"] is None)


def unpriced(rows: Rows) -> Rows:
    return next(row for row in rows["reservations"] if row["unpriced_at"] is not None)


def a_run_takes_more_than_there_is(rows: Rows) -> None:
    of(rows, "accepted")["amount"] = "2.60"


def what_was_spent_before_leaves_no_room(rows: Rows) -> None:
    line = next(row for row in rows["cost_lines"] if row["amount"] is not None)
    rows["budgets"][0]["spent"] = line["amount"] = "2"


def what_nobody_can_price_leaves_no_room(rows: Rows) -> None:
    unpriced(rows)["amount"] = "3"


def the_lost_run_leaves_no_room(rows: Rows) -> None:
    of(rows, "unknown")["amount"] = "3"


def the_cap_was_lower_then(rows: Rows) -> None:
    line = max(
        (row for row in rows["audit"] if row["action"] == "budget.changed"), key=lambda row: row["seq"]
    )
    data = json.loads(line["data"])
    line["data"] = json.dumps({**data, "to": {**data["to"], "limit": "2.50"}})


def reserved_of_nothing(rows: Rows) -> None:
    rows["audit"].clear()


def settled_and_not_freed(rows: Rows) -> None:
    of(rows, "completed").update({"freed_at": None, "freed_place": None})


def unpriced_and_not_marked(rows: Rows) -> None:
    unpriced(rows)["unpriced_at"] = None


def refused_and_not_freed(rows: Rows) -> None:
    of(rows, "refused").update({"freed_at": None, "freed_place": None})


def freed_while_it_is_out(rows: Rows) -> None:
    of(rows, "accepted").update({"freed_at": 1, "freed_place": 99})


def sent_without_a_reservation(rows: Rows) -> None:
    rows["reservations"].remove(of(rows, "accepted"))


def spent_is_not_what_was_booked(rows: Rows) -> None:
    rows["budgets"][0]["spent"] = "0"


# And what the checker says of it.
SPOILS: list[tuple[Callable[[Rows], None], str]] = [
    (a_run_takes_more_than_there_is, "whose limit is"),
    (what_was_spent_before_leaves_no_room, "whose limit is"),
    (what_nobody_can_price_leaves_no_room, "whose limit is"),
    (the_lost_run_leaves_no_room, "whose limit is"),
    (the_cap_was_lower_then, "whose limit is 2.50"),
    (reserved_of_nothing, "was not set"),
    (settled_and_not_freed, "still reserved, its cost"),
    (unpriced_and_not_marked, "is not marked"),
    (refused_and_not_freed, "its run is refused"),
    (freed_while_it_is_out, "was freed, and"),
    (sent_without_a_reservation, "reserved nothing of workspace"),
    (spent_is_not_what_was_booked, "says that 0 is spent"),
]


async def test_every_planted_corruption_of_a_budget_is_found(working: Place) -> None:
    good = await evidence_of(working)
    assert found(good) == []
    for spoil, words in SPOILS:
        rows = copy.deepcopy(good)
        spoil(rows)
        told = found(rows)
        assert any(words in one for one in told), f"{spoil.__name__} went unnoticed ({told})"


@pytest.mark.parametrize("forgotten", [False, True])
async def test_a_run_that_is_out_over_midnight_is_not_forgotten(working: Place, forgotten: bool) -> None:
    ana = await working.caller()
    await capped(working, "2.50", period="day")
    script(working, {"running_seconds": 500}, times=None)
    first = await submitted(working, ana, max_cost="1")
    await seen(working, ana, first.id, lambda view: view["status"] == "running")
    move_times(working, DAY)
    second = await submitted(working, ana, max_cost="1")
    await seen(working, ana, second.id, lambda view: view["status"] == "running")
    await look_again(working, second)
    good = collect(working.service.store.database)
    rows = {name: getattr(good, name) for name in good.__dataclass_fields__}
    if forgotten:
        rows["reservations"] = [{**row, "amount": "1.30"} for row in rows["reservations"]]
    assert bool(found(rows)) is forgotten

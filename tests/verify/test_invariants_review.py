"""The checker of what was sent back can fail: each planted corruption is found, under the right name."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from backlane.service.escalate import escalate
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_review import REVIEW_INVARIANTS
from tests.conftest import Place
from tests.story.test_changes import NOTE, drafted, sent_back, shown_again

Rows = dict[str, Any]


async def evidence_of(place: Place) -> Evidence:
    """A draft that was sent back and waits for its next review, and one that was handed on before its first."""
    ana = await place.caller()
    job, review = await drafted(place, ana)
    await sent_back(place, review, notes=NOTE)
    await shown_again(place, ana, job, review)
    waits, _ = await drafted(place, ana)
    await escalate(place.service.ports, ana, waits.id, "it is due today")
    return collect(place.service.store.database, provider_log=list(place.simulator.world.log))


def newer(rows: Rows) -> Rows:
    return max(
        (row for row in rows["reviews"] if row["job_id"] == rows["decisions"][0]["job_id"]),
        key=lambda row: row["opened_at"],
    )


def keep_the_review_open(rows: Rows) -> None:
    next(row for row in rows["reviews"] if row["state"] == "changes_requested")["state"] = "pending"


def send_back_without_a_decision(rows: Rows) -> None:
    newer(rows)["state"] = "changes_requested"


def say_nothing(rows: Rows) -> None:
    rows["turns"].clear()


def say_something_else(rows: Rows) -> None:
    turn = rows["turns"][0]
    turn["items"] = turn["items"].replace("Shorter", "Longer")


def say_it_as_the_system(rows: Rows) -> None:
    turn = rows["turns"][0]
    turn["items"] = turn["items"].replace('"user"', '"system"')


def buy_it_twice(rows: Rows) -> None:
    again = next(row for row in rows["attempts"] if row["reason"] == "changes_requested")
    rows["attempts"].append({**again, "id": "att_again", "number": 9})


def forget_that_it_was_sent_back(rows: Rows) -> None:
    for job in rows["jobs"]:
        job["sent_back_seq"] = None


def unmark(rows: Rows) -> None:
    for artifact in rows["artifacts"]:
        artifact["sent_back"] = False


def show_it_again(rows: Rows) -> None:
    former = next(row for row in rows["reviews"] if row["state"] == "changes_requested")
    payload = json.loads(newer(rows)["payload"])
    payload["artifacts"] += json.loads(former["payload"])["artifacts"]
    newer(rows)["payload"] = json.dumps(payload)


def hand_it_down(rows: Rows) -> None:
    rows["escalations"][0] |= {"from_role": "admin", "to_role": "reviewer"}


CORRUPTIONS: list[tuple[str, Callable[[Rows], None]]] = [
    ("R1", keep_the_review_open),
    ("R1", send_back_without_a_decision),
    ("R1", say_nothing),
    ("R1", say_something_else),
    ("R1", say_it_as_the_system),
    ("R1", buy_it_twice),
    ("R2", forget_that_it_was_sent_back),
    ("R2", unmark),
    ("R2", show_it_again),
    ("R3", hand_it_down),
]


async def test_each_planted_corruption_is_found(working: Place) -> None:
    good = await evidence_of(working)
    assert check(good).ok, check(good).lines()
    assert {name for name, _ in CORRUPTIONS} == set(REVIEW_INVARIANTS)
    for name, spoil in CORRUPTIONS:
        rows = {one.name: copy.deepcopy(getattr(good, one.name)) for one in fields(good)}
        for table, value in rows.items():
            if isinstance(value, list | tuple):
                rows[table] = [dict(row) if not isinstance(row, str) else row for row in value]
        spoil(rows)
        found = {violated for violated, _ in check(replace(good, **rows)).violations}
        assert name in found, (spoil.__name__, found)

"""Planted corruptions of the audit log, cases, notes and marks; and the deeds that make good evidence of them."""

import json
from collections.abc import Callable
from typing import Any

from backlane.core.storage import Transaction
from backlane.service import control
from backlane.service.annotate import annotate
from backlane.service.change_case import CaseChange, change_case
from backlane.service.mark import archive, hold
from backlane.service.open_case import open_case
from backlane.service.revoke import revoke_key
from tests.conftest import Place

Rows = dict[str, Any]


async def look_after(place: Place, job_id: str) -> None:
    """A job that was retried, archived, held and noted, with a closed and an open case; a key that was revoked."""
    ports = place.service.ports
    root = await place.caller("root", "admin")
    first, _ = await open_case(ports, root, job_id, "the first", "a note")
    await change_case(ports, root, first["id"], CaseChange(given=frozenset({"state"}), state="closed"))
    await open_case(ports, root, job_id, "the second", None)
    await annotate(ports, root, job_id, "another note")
    await archive(ports, root, job_id)
    await hold(ports, root, job_id)
    again, _ = await control.retry(ports, root, job_id)
    await control.cancel(ports, root, again.id, None)
    gone = await place.caller("gone", "reviewer")

    def revoke(tx: Transaction) -> bool:
        return revoke_key(tx, ports, gone.key_id, "command-line")

    assert await place.service.store.write(revoke)


def line(rows: Rows, action: str) -> dict[str, Any]:
    return next(row for row in rows["audit"] if row["action"] == action)


def event(rows: Rows, kind: str) -> dict[str, Any]:
    return next(row for row in rows["events"] if row["type"] == kind)


def job(rows: Rows) -> dict[str, Any]:
    return next(row for row in rows["jobs"] if row["case_id"] is not None)


def alter_a_line(rows: Rows) -> None:
    line(rows, "job.archive")["at"] += 1


def take_a_line_out(rows: Rows) -> None:
    rows["audit"].remove(line(rows, "key.created"))


def take_the_last_line_out(rows: Rows) -> None:
    rows["audit"].remove(line(rows, "key.revoked"))


def a_deed_by_nobody(rows: Rows) -> None:
    line(rows, "job.hold")["actor"] = ""


def a_deed_by_another(rows: Rows) -> None:
    event(rows, "job.archived")["actor"] = "eve"


def a_deed_without_a_line(rows: Rows) -> None:
    rows["events"].append({**event(rows, "job.held"), "seq": 10_000, "actor": "eve"})


def a_line_without_a_deed(rows: Rows) -> None:
    rows["events"].remove(event(rows, "job.noted"))


def another_history(rows: Rows) -> None:
    """The job's whole chain was written anew; the audit log remembers its head."""
    known = json.loads(line(rows, "job.archive")["data"])
    kept = next(
        row for row in rows["events"] if (row["job_id"], row["seq"]) == (known["job"], known["event_seq"])
    )
    kept["chain"] = "0" * 64


def a_key_of_unknown_making(rows: Rows) -> None:
    rows["keys"].append({**rows["keys"][0], "id": "key_smuggled"})


def a_key_that_lives_again(rows: Rows) -> None:
    next(row for row in rows["keys"] if row["revoked_at"] is not None)["revoked_at"] = None


def two_open_cases(rows: Rows) -> None:
    next(row for row in rows["cases"] if row["state"] == "closed")["state"] = "open"


def a_case_nobody_told_of(rows: Rows) -> None:
    rows["cases"].append({**rows["cases"][0], "id": "case_smuggled"})


def a_job_names_another_case(rows: Rows) -> None:
    job(rows)["case_id"] = rows["cases"][0]["id"]


def closed_by_nobody(rows: Rows) -> None:
    next(row for row in rows["cases"] if row["state"] == "closed")["closed_by"] = None


def archived_in_silence(rows: Rows) -> None:
    job(rows)["archived_at"] = None


def held_in_silence(rows: Rows) -> None:
    next(row for row in rows["jobs"] if not row["held"])["held"] = True


def archived_while_open(rows: Rows) -> None:
    next(row for row in rows["jobs"] if row["finished_at"] is None)["archived_at"] = 1


def a_lost_note(rows: Rows) -> None:
    rows["notes"].pop()


def another_end(rows: Rows) -> None:
    job(rows)["finished_at"] += 1


def another_retry(rows: Rows) -> None:
    job(rows)["retried_as"] = "job_other"


SPOILS_OF_CASES: list[tuple[str, Callable[[Rows], None]]] = [
    ("I30", alter_a_line), ("I30", take_a_line_out), ("I30", take_the_last_line_out), ("I30", a_deed_by_nobody),
    ("I30", a_deed_by_another), ("I30", a_deed_without_a_line), ("I30", a_line_without_a_deed),
    ("I30", another_history), ("I30", a_key_of_unknown_making), ("I30", a_key_that_lives_again),
    ("C01", two_open_cases), ("C01", a_case_nobody_told_of), ("C01", a_job_names_another_case),
    ("C01", closed_by_nobody), ("C01", archived_in_silence), ("C01", held_in_silence),
    ("C01", archived_while_open), ("C01", a_lost_note), ("C01", another_end), ("C01", another_retry),
]  # fmt: skip

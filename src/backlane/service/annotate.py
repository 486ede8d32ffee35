"""Notes on jobs: append-only, for colleagues unless marked for the requester. Events tell of a note, never its text."""

from typing import Any

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller, visible
from backlane.service.describe import moment
from backlane.service.ports import Ports
from backlane.service.witness import witness

# Who acts without a person; nobody can have a key of this name.
BACKLANE = "backlane"


async def annotate(
    ports: Ports, caller: Caller, job_id: str, text: str, *, for_requester: bool = False
) -> dict[str, Any]:
    """Note something about a job within sight, whatever its status; it belongs to the job's open case too.

    Raises NotFound.
    """

    def body(tx: Transaction) -> Row:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        return keep_note(tx, ports, caller, job, text, for_requester=for_requester)

    return note_view(await ports.store.write(body))


def keep_note(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, text: str, *, for_requester: bool
) -> Row:
    """Write a note, its event and its audit line."""
    now = ports.clock.now()
    case = tx.open_case(job.id)
    note: Row = {
        "id": ports.ids.new("note"),
        "workspace": job.workspace,
        "job_id": job.id,
        "case_id": None if case is None else case["id"],
        "actor": caller.name,
        "role": caller.role,
        "text": text,
        "for_requester": for_requester,
        "at": now,
    }
    tx.insert_note(note)
    data = {"note": note["id"], "case": note["case_id"], "for_requester": for_requester}
    tx.keep_events(job.id, [Event("job.noted", now, caller.name, data)])
    witness(tx, ports, caller, "job.note", job.id, job=job.id, note=note["id"], for_requester=for_requester)
    return note


async def read_notes(ports: Ports, caller: Caller, job_id: str) -> list[dict[str, Any]]:
    """What was noted about a job, as far as it is for this caller. Raises NotFound."""

    def body(tx: Transaction) -> list[dict[str, Any]]:
        job = visible(tx, caller, tx.job(job_id))
        return notes_for(tx, caller, job)

    return await ports.store.read(body)


def notes_for(tx: Transaction, caller: Caller, job: Job, case_id: str | None = None) -> list[dict[str, Any]]:
    """The notes this caller may read, oldest first; with a case only those that belong to it."""
    rows = [row for row in tx.notes(job.id) if case_id is None or row["case_id"] == case_id]
    return [note_view(row) for row in rows if may_read(caller, job, row["actor"]) or row["for_requester"]]


def may_read(caller: Caller, job: Job, author: str) -> bool:
    """Whether words among colleagues are for this caller: their own, or everybody's but the requester's eyes.

    They may quote what the release gate closes, so a requester who also has another role does not see them.
    """
    if author in (caller.name, BACKLANE):
        return True
    return caller.role not in ("submitter", "token") and job.submitted_by != caller.name


def note_view(row: Row) -> dict[str, Any]:
    """A note as it is shown."""
    return {
        "id": row["id"],
        "object": "note",
        "job": row["job_id"],
        "case": row["case_id"],
        "by": row["actor"],
        "role": row["role"],
        "text": row["text"],
        "for_requester": row["for_requester"],
        "at": moment(row["at"]),
    }

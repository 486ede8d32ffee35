"""Planted mistakes around what people look after: deeds without lines, marks without events, cases nobody tells of."""

from typing import Any

from backlane.core.job import Job
from backlane.service import open_case, witness
from backlane.store.records import JobRecords
from backlane.store.transaction import Records
from tests.world.planting import Undo, put, swap


def forget_the_audit_line_of_a_hold() -> list[Undo]:
    """One verb of many is not written down."""
    before = witness.witness

    def silent(tx: Any, ports: Any, caller: Any, action: str, subject: str, **data: Any) -> None:
        if action != "job.hold":
            before(tx, ports, caller, action, subject, **data)

    return swap(before, silent)


def write_a_deed_down_twice() -> list[Undo]:
    """A line is added again, as after a retry that was not needed."""
    before = witness.witness

    def twice(tx: Any, ports: Any, caller: Any, action: str, subject: str, **data: Any) -> None:
        for _ in range(2 if action == "job.archive" else 1):
            before(tx, ports, caller, action, subject, **data)

    return swap(before, twice)


def change_the_audit_log() -> list[Undo]:
    """A line says another subject than the one that was chained."""
    before = Records._insert

    def altered(self: Any, table: Any, row: Any) -> None:
        changed = {**row, "subject": "job_other"} if row.get("action") == "job.note" else row
        before(self, table, changed)

    return put(Records, "_insert", altered)


def mark_a_job_without_its_event() -> list[Undo]:
    """A hold stands on the row and in no event."""
    before = JobRecords.keep_events

    def silent(self: Any, job_id: str, events: Any) -> None:
        before(self, job_id, [event for event in events if event.type != "job.held"])

    return put(JobRecords, "keep_events", silent)


def open_a_case_the_job_does_not_name() -> list[Undo]:
    """The case is there, the job's row was forgotten."""
    before = open_case.opened

    def unnamed(tx: Any, ports: Any, job: Job, reason: str, **more: Any) -> Any:
        case = before(tx, ports, job, reason, **more)
        tx.mark_job(job, case_id=None)
        return case

    return swap(before, unnamed)


MISTAKES_OF_CASES = (
    forget_the_audit_line_of_a_hold,
    write_a_deed_down_twice,
    change_the_audit_log,
    mark_a_job_without_its_event,
    open_a_case_the_job_does_not_name,
)

"""Incidents a person must mend: one alert each, jobs keep their place, a probe now and then."""

from typing import Any

from backlane.core.event import Event
from backlane.core.failure import ALIKE, is_design
from backlane.core.job import Job, Status
from backlane.core.storage import Transaction
from backlane.service.ports import Ports

# Incidents of the loaded code stand beside those of provider accounts under this name.
TYPES = "job-types"
# What is wrong with a type, not with an account; its place names workspace and type.
DESIGN = "task_design"
GONE = "result_gone"
SECOND = "second_purchase"


def type_missing(tx: Transaction, ports: Ports, job: Job) -> None:
    """Say once that jobs wait for a type that is not loaded."""
    now = ports.clock.now()
    row = {
        "provider_account": TYPES,
        "lane": job.type[:20],
        "code": "type_not_loaded",
        "message": f"jobs of type {job.type!r} wait: the type is not loaded",
        "since": now,
        "probe_at": now,
    }
    if tx.raise_incident(row):
        _alert(tx, ports, job, "alert.raised", "type_not_loaded")


def result_gone(tx: Transaction, ports: Ports, job: Job) -> None:
    """Say once that results were lost because nobody fetched them in time; a good end takes it back."""
    message = "results were gone before they were fetched: was no worker running?"
    _raise(tx, ports, job, (job.provider_account, GONE), message)


def second_purchase(tx: Transaction, ports: Ports, job: Job) -> None:
    """Say that a run was bought twice; both are booked, the second one is canceled."""
    _raise(tx, ports, job, (job.provider_account, SECOND), f"a run of {job.id} was bought twice")


def forget_second_purchases(tx: Transaction, before: int) -> None:
    """What was raised before then has been seen, or is in the workspace's events."""
    for row in tx.incidents():
        if row["code"] == SECOND and row["since"] < before:
            tx.clear_incident(row["provider_account"], row["lane"])


def judge_end(tx: Transaction, ports: Ports, job: Job) -> None:
    """What a job's end says to operators: a good one takes alerts back, the same failure again and again
    says that the type's task design is wrong."""
    design = f"{job.workspace}:{job.type}", DESIGN
    if job.status is Status.COMPLETED:
        for place in (design, (job.provider_account, GONE)):
            if tx.incident(*place) is not None and tx.clear_incident(*place):
                _alert(tx, ports, job, "alert.cleared", place[1])
    if job.status is not Status.FAILED:
        return
    ends = tx.newest_ends(job.workspace, job.type, ALIKE)
    codes = [_code_of(row["failure"]) for row in ends]
    if is_design(codes):
        alike = f"the newest {ALIKE} jobs of type {job.type!r} that ended all failed with {codes[0]}"
        _raise(tx, ports, job, design, f"the task design is wrong: {alike}")


def _code_of(failure: dict[str, Any] | None) -> str | None:
    return None if failure is None else failure["code"]


def _raise(tx: Transaction, ports: Ports, job: Job, place: tuple[str, str], message: str) -> None:
    """An alert that holds nothing back; its code is its place's second half."""
    now = ports.clock.now()
    where = {"provider_account": place[0], "lane": place[1], "code": place[1]}
    if tx.raise_incident({**where, "message": message[:500], "since": now, "probe_at": now}):
        _alert(tx, ports, job, "alert.raised", place[1])


def _alert(tx: Transaction, ports: Ports, job: Job, kind: str, code: str) -> None:
    data = {"code": code, "lane": job.lane, "type": job.type}
    tx.workspace_event(job.workspace, Event(kind, ports.clock.now(), "backlane", data))
    ports.log(f"{kind}: {code} (account {job.provider_account}, lane {job.lane}, type {job.type})")

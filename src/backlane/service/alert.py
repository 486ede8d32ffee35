"""Incidents a person must mend: one alert each, jobs keep their place, a probe now and then."""

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.service.ports import Ports

# Incidents of the loaded code stand beside those of provider accounts under this name.
TYPES = "job-types"


def hold_lane(tx: Transaction, ports: Ports, job: Job, code: str, message: str) -> int:
    """Raise the account's incident once; when its next probe is due (milliseconds since 1970)."""
    now = ports.clock.now()
    probe_at = now + ports.timings.incident_probe
    row = {
        "provider_account": job.provider_account,
        "lane": job.lane,
        "code": code,
        "message": message[:500],
        "since": now,
        "probe_at": probe_at,
    }
    if tx.raise_incident(row):
        _alert(tx, ports, job, "alert.raised", code)
    else:
        tx.probe_incident(job.provider_account, job.lane, probe_at)
    return probe_at


def release_lane(tx: Transaction, ports: Ports, job: Job) -> None:
    """The account answered again: its incident is over."""
    incident = tx.incident(job.provider_account, job.lane)
    if incident is not None and tx.clear_incident(job.provider_account, job.lane):
        _alert(tx, ports, job, "alert.cleared", incident["code"])


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


def _alert(tx: Transaction, ports: Ports, job: Job, kind: str, code: str) -> None:
    data = {"code": code, "lane": job.lane, "type": job.type}
    tx.workspace_event(job.workspace, Event(kind, ports.clock.now(), "backlane", data))
    ports.log(f"{kind}: {code} (account {job.provider_account}, lane {job.lane}, type {job.type})")

"""Lanes that are held: one alert each, jobs keep their place, one run at a time tries whether it is over.

Whatever ends an incident lets the waiting jobs go a few at once, so that nobody comes in a herd.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backlane.core.event import Event
from backlane.core.health import (
    NEVER,
    TROUBLE,
    Counts,
    first_minute,
    hold_place,
    is_trouble,
    probe_delay,
    waits_after,
)
from backlane.core.job import Job
from backlane.core.storage import Row, Transaction
from backlane.service.health import Place
from backlane.service.ports import Ports

CREATE, LOOK = "create", "look"
# Of more waiting jobs than this the rest come back by their own timers, spread by chance.
_ADMITTED_AT_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Passage:
    """Whether a run may be sent now. `probe` is its number if it is the one that tries the lane held since `since`."""

    open: bool
    probe: int | None = None
    since: int = 0
    until: int = 0
    code: str = ""


def holds_of(tx: Transaction, job: Job) -> list[Row]:
    """The open incidents that hold a job's new runs: its account's, and its workspace's own hold."""
    places = job.provider_account, hold_place(job.workspace, job.provider_account)
    return tx.holds(places, job.lane)


def passage(tx: Transaction, ports: Ports, job: Job, now: int, taken: Passage | None = None) -> Passage:
    """Whether a run of this job may be sent now; taking it as the one probe of a held lane, where it is due.

    `taken` is what this run was given before: it holds until another run takes the next probe.
    """
    probe, since = None, 0
    # A person's hold is looked at first: no probe is taken for a job that may not go anyway.
    for row in sorted(holds_of(tx, job), key=lambda row: row["held_by"] is None):
        since = row["since"]
        if taken is not None and (since, row["probes"]) == (taken.since, taken.probe):
            probe = taken.probe
            continue
        number = row["probes"] + 1
        if not tx.claim_probe(row, now, now + probe_delay(number, ports.timings)):
            return Passage(False, until=spread(ports, row["probe_at"]), code=row["code"])
        probe = number
    return Passage(True, probe, since)


def still_held(tx: Transaction, job: Job, until: int, now: int) -> int:
    """When a job that was told to wait for its lane should be looked at: at once if that was reopened meanwhile."""
    return until if holds_of(tx, job) else now


def spread(ports: Ports, until: int) -> int:
    """A moment after that, different for each job: those who wait do not all come back together."""
    return until + int(ports.timings.incident_probe / 2 * ports.chance())


def hold_lane(
    tx: Transaction, ports: Ports, place: tuple[str, str], code: str, message: str, *, found_by: str = CREATE
) -> int:
    """Raise an account's incident once; when its next try is due (milliseconds since 1970).

    `place` is the provider account and the lane.
    """
    now = ports.clock.now()
    probe_at = now + probe_delay(0, ports.timings)
    row = {
        "provider_account": place[0],
        "lane": place[1],
        "code": code,
        "message": message[:500],
        "since": now,
        "probe_at": probe_at,
        "found_by": found_by,
    }
    if tx.raise_incident(row):
        _tell(tx, ports, place, code, held=True)
        return probe_at
    known = tx.incident(*place)
    if known is None:
        return now
    # Never at once: a probe that is due is taken by one job, and this one was just told no.
    return max(known["probe_at"], now + probe_delay(known["probes"], ports.timings))


def release_lane(tx: Transaction, ports: Ports, place: tuple[str, str], *, by: str = CREATE) -> None:
    """A call went well: an incident that calls of this kind found is over; a good create ends any."""
    incident = tx.incident(*place)
    if incident is None or incident["held_by"] is not None:
        return
    if by == CREATE or incident["found_by"] == by:
        reopen(tx, ports, incident)


def reopen(tx: Transaction, ports: Ports, incident: Row, *, workspace: str | None = None) -> bool:
    """End an incident and let its jobs go, a few at once; whether this call ended it."""
    if not tx.clear_incident(incident["provider_account"], incident["lane"]):
        return False
    account = incident["provider_account"].removeprefix(f"{workspace}:")
    place, now = (account, incident["lane"]), ports.clock.now()
    waiting = tx.waiting(*place, now, _ADMITTED_AT_MOST, workspace=workspace)
    tx.admit([(job_id, now + waits_after(number)) for number, job_id in enumerate(waiting)])
    _tell(tx, ports, place, incident["code"], held=False, workspace=workspace)
    return True


def keep_counts(tx: Transaction, ports: Ports, counts: Mapping[Place, Counts]) -> None:
    """Write down how calls went; too many bad ones hold their lane."""
    tx.add_counts(counts)
    now = ports.clock.now()
    for account, lane in {(place[0], place[1]) for place, count in counts.items() if count.bad}:
        lately = tx.counts(account, lane, first_minute(now))
        if is_trouble(lately):
            message = f"{lately.bad} of {lately.good + lately.bad} calls failed within three minutes"
            hold_lane(tx, ports, (account, lane), TROUBLE, message)


def hold_by_person(
    tx: Transaction, ports: Ports, workspace: str, place: tuple[str, str], person: str, *, reason: str
) -> None:
    """A person holds a lane for one workspace's jobs, until a person releases it."""
    now = ports.clock.now()
    tx.hold_by_person(
        {
            "provider_account": hold_place(workspace, place[0]),
            "lane": place[1],
            "code": "held_by_person",
            "message": reason[:500],
            "since": now,
            "probe_at": NEVER,
            "probes": 0,
            "found_by": "person",
            "held_by": person,
        }
    )
    _tell(tx, ports, place, "held_by_person", held=True, workspace=workspace, actor=person)


def _tell(
    tx: Transaction,
    ports: Ports,
    place: tuple[str, str],
    code: str,
    *,
    held: bool,
    workspace: str | None = None,
    actor: str = "backlane",
) -> None:
    """Two events in the feed of each workspace that it concerns, and a line for operators."""
    data: dict[str, Any] = {"code": code, "account": place[0], "lane": place[1]}
    kinds = ("lane.held", "alert.raised") if held else ("lane.released", "alert.cleared")
    for one in _concerned(tx, ports, place[0]) if workspace is None else [workspace]:
        for kind in kinds if workspace is None else kinds[:1]:
            tx.workspace_event(one, Event(kind, ports.clock.now(), actor, data))
    ports.log(f"{kinds[1]}: {code} (account {place[0]}, lane {place[1]})")


def _concerned(tx: Transaction, ports: Ports, account: str) -> list[str]:
    """The workspaces whose new runs the account takes; all of them for one that takes none any more."""
    own = ports.accounts.get(account)
    everybody = own is None or own.retired
    found: list[str] = []
    for row in tx.workspaces():
        info = ports.accounts.of(row["name"])
        if everybody or info is None or info.name == account:
            found.append(row["id"])
    return found

"""Lanes as an operator sees them: health, incidents, who waits, what is usual; and a person's hold on one.

A workspace sees the accounts that it uses, and of their jobs its own; a person's hold holds those alone.
"""

from typing import Any

from backlane.core.accounts import AccountInfo
from backlane.core.duration import ENOUGH, usual
from backlane.core.health import NEVER, SHOWN_MINUTES, Counts, first_minute, hold_place
from backlane.core.lane import AVAILABLE, Lane, Window
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest, NotFound
from backlane.service.access import Caller
from backlane.service.describe import moment
from backlane.service.incident import hold_by_person, reopen
from backlane.service.ports import Ports


async def list_lanes(ports: Ports, caller: Caller) -> list[dict[str, Any]]:
    """Every lane of every account that the caller's workspace uses."""
    now = ports.clock.now()

    def body(tx: Transaction) -> list[dict[str, Any]]:
        jobs = {(row["provider_account"], row["lane"]): row for row in tx.lane_jobs(caller.workspace)}
        durations = _durations(tx, caller.workspace)
        places = _places(ports, caller, list(jobs))
        return [
            {
                **_identity(ports, account, lane),
                "health": _health(tx.counts(account, lane, first_minute(now, SHOWN_MINUTES))),
                "incident": _incident(_open(tx, caller, account, lane)),
                "in_flight": jobs.get((account, lane), {}).get("in_flight", 0),
                "waiting": jobs.get((account, lane), {}).get("waiting", 0),
                "durations": [one for one in durations if one["lane"] == lane],
            }
            for account, lane in places
        ]

    return await ports.store.read(body)


def _places(ports: Ports, caller: Caller, used: list[tuple[str, str]]) -> list[tuple[str, str]]:
    own = ports.accounts.of(caller.workspace_name)
    offered = [] if own is None else [(own.name, str(lane)) for lane in Lane if lane in AVAILABLE]
    return [*offered, *sorted(place for place in used if place not in offered)]


def _identity(ports: Ports, account: str, lane: str) -> dict[str, Any]:
    info = ports.accounts.get(account) or AccountInfo(account)
    windowed = lane == Lane.BACKGROUND and info.background
    return {
        "object": "lane",
        "account": account,
        "lane": lane,
        "known": ports.accounts.get(account) is not None,
        "simulated": info.simulated,
        "region": info.region,
        "region_enforced": info.region is not None and info.region_enforced,
        "retired": info.retired,
        "windows": [str(one) for one in Window] if windowed else [str(Window.SOONEST)],
    }


def _health(lately: Counts) -> dict[str, Any]:
    calls = lately.good + lately.bad
    return {
        "minutes": SHOWN_MINUTES,
        "good": lately.good,
        "bad": lately.bad,
        "bad_rate": round(lately.bad / calls, 3) if calls else None,
        "mean_delay_ms": round(lately.delay / lately.good) if lately.good else None,
    }


def _open(tx: Transaction, caller: Caller, account: str, lane: str) -> Row | None:
    """What holds the lane for this workspace; a person's hold before an incident."""
    rows = tx.holds((account, hold_place(caller.workspace, account)), lane)
    return next(iter(sorted(rows, key=lambda row: row["held_by"] is None)), None)


def _incident(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "code": row["code"],
        "message": row["message"],
        "since": moment(row["since"]),
        "held_by": row["held_by"],
        "probes": row["probes"],
        "next_probe_at": None if row["probe_at"] >= NEVER else moment(row["probe_at"]),
    }


def _durations(tx: Transaction, workspace: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for row in tx.lane_durations(workspace):
        lane, _, window = row["lane"].partition("/")
        known = usual(row["sample"])
        found.append(
            {
                "type": row["type"],
                "model": row["model"],
                "lane": lane,
                "window": window or str(Window.SOONEST),
                "runs": len(row["sample"]),
                "enough": len(row["sample"]) >= ENOUGH,
                "p50_seconds": None if known is None else round(known.p50 / 1000, 1),
                "p90_seconds": None if known is None else round(known.p90 / 1000, 1),
            }
        )
    return found


async def hold(ports: Ports, caller: Caller, lane: str, account: str | None, reason: str) -> None:
    """Send nothing new of the caller's workspace on a lane until it is released. Raises InvalidRequest, NotFound."""

    def body(tx: Transaction) -> None:
        place = _place(tx, ports, caller, lane, account)
        hold_by_person(tx, ports, caller.workspace, place, caller.name, reason=reason)
        _audit(tx, ports, caller, "lane.held", place, reason)

    await ports.store.write(body)


async def release(ports: Ports, caller: Caller, lane: str, account: str | None, reason: str) -> bool:
    """Let a lane's waiting jobs go, a few at once: a person's hold ends, else an open incident does.

    Whether there was something to end. Trouble that is still there holds the lane again by itself.
    Raises InvalidRequest, NotFound.
    """

    def body(tx: Transaction) -> bool:
        place = _place(tx, ports, caller, lane, account)
        row = _open(tx, caller, *place)
        if row is None:
            return False
        own = caller.workspace if row["held_by"] is not None else None
        reopen(tx, ports, row, workspace=own)
        _audit(tx, ports, caller, "lane.released", place, reason)
        return True

    released = await ports.store.write(body)
    ports.notify()
    return released


def _place(tx: Transaction, ports: Ports, caller: Caller, lane: str, account: str | None) -> tuple[str, str]:
    """The account and lane that are meant; an account that the workspace does not use is none to it."""
    if lane not in list(Lane):
        raise NotFound()
    own = ports.accounts.of(caller.workspace_name)
    known = {row["provider_account"] for row in tx.lane_jobs(caller.workspace)}
    known |= set() if own is None else {own.name}
    name = account or (own.name if own is not None else "")
    if name not in known:
        raise InvalidRequest([("/account", "is no provider account that this workspace uses")])
    return name, lane


def _audit(
    tx: Transaction, ports: Ports, caller: Caller, action: str, place: tuple[str, str], reason: str
) -> None:
    tx.audit(
        {
            "workspace": caller.workspace,
            "at": ports.clock.now(),
            "actor": caller.name,
            "action": action,
            "subject": f"{place[0]}/{place[1]}",
            "data": {"role": caller.role, "key": caller.key_id, "reason": reason[:500]},
        }
    )

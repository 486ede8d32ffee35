"""Which provider account a planned run is bought with, where the settings changed since it was planned."""

from collections.abc import Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.accounts import AccountInfo
from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase
from backlane.core.lane import Lane
from backlane.core.lifecycle import Command
from backlane.core.storage import Transaction
from backlane.service.conclude import conclude
from backlane.service.fail import failed
from backlane.service.incident import hold_lane, passage, reopen
from backlane.service.ports import Ports
from backlane.service.situate import Held

RETIRED = "account_retired"


def is_misplaced(ports: Ports, job: Job, attempt: Attempt) -> bool:
    """Whether the account of a planned run was retired, or is no longer as simulated or as real as the job says."""
    account = ports.accounts.get(attempt.provider_account)
    return account is not None and (account.retired or account.simulated != job.simulated)


async def placed_anew(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Move a run that was not sent yet to the account that its workspace uses now.

    A simulated job never turns into a real purchase, nor the other way round: where only such an account is
    left, it waits; where its own account changed so, it fails.
    """
    account = ports.accounts.get(attempt.provider_account)
    if account is not None and not account.retired:
        return await failed(ports, held, "account_changed")
    now = ports.clock.now()
    moved = False

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        nonlocal moved
        new = _successor(tx, ports, job)
        moved = new is not None
        if new is None:
            return _wait(tx, ports, job, attempt, now)
        _end_incident(tx, ports, job, attempt)
        tx.move_attempt(attempt.id, [AttemptState.PLANNED], provider_account=new.name)
        data = {"attempt": attempt.id, "lane": job.lane, "account": new.name, "code": RETIRED}
        return replace(job, provider_account=new.name), [Event("lane.changed", now, "backlane", data)]

    carried = await conclude(ports, held, turn, hold=True)
    return carried if moved or carried is None else await _let_go(ports, carried)


def _successor(tx: Transaction, ports: Ports, job: Job) -> AccountInfo | None:
    """The account that takes the workspace's new runs, if this job may be bought there."""
    name = next((row["name"] for row in tx.workspaces() if row["id"] == job.workspace), "")
    found = ports.accounts.of(name)
    if found is None or found.simulated != job.simulated:
        return None
    return found if found.background or job.lane == Lane.INTERACTIVE else None


def _wait(tx: Transaction, ports: Ports, job: Job, attempt: Attempt, now: int) -> tuple[Job, Sequence[Event]]:
    place = attempt.provider_account, attempt.lane
    told = f"account {place[0]!r} is retired, and no other takes this workspace's runs"
    # One job at a time asks whether there is another account by now; the others keep their timers.
    way = passage(tx, ports, job, now)
    until = hold_lane(tx, ports, place, RETIRED, told) if way.open else way.until
    until = min(until, max(job.useful_until, now))
    if job.phase is Phase.INCIDENT:
        return replace(job, wait_until=until), ()
    data = {"code": RETIRED, "until": until}
    job, event = lifecycle.apply(job, Command.WAIT, now, phase=Phase.INCIDENT, actor="backlane", data=data)
    return replace(job, wait_until=until), [event]


def _end_incident(tx: Transaction, ports: Ports, job: Job, attempt: Attempt) -> None:
    """A retired account buys nothing more: what held its lane is over, unless a job still waits that cannot move."""
    place = attempt.provider_account, attempt.lane
    incident = tx.incident(*place)
    if incident is None:
        return
    for row in tx.workspaces():
        if _successor(tx, ports, replace(job, workspace=row["id"])) is not None:
            continue
        if _waits(tx, row["id"], place):
            return
    reopen(tx, ports, incident)


def _waits(tx: Transaction, workspace: str, place: tuple[str, str]) -> bool:
    lanes = tx.lane_jobs(workspace)
    return any(one["waiting"] for one in lanes if (one["provider_account"], one["lane"]) == place)


async def end_retired(ports: Ports) -> None:
    """End what holds the lane of a retired account once nobody waits there: the last one was canceled or expired."""

    def body(tx: Transaction) -> None:
        for incident in tx.incidents():
            place = incident["provider_account"], incident["lane"]
            if incident["code"] == RETIRED and not any(
                _waits(tx, row["id"], place) for row in tx.workspaces()
            ):
                reopen(tx, ports, incident)

    if any(row["code"] == RETIRED for row in await ports.store.read(lambda tx: tx.incidents())):
        await ports.store.write(body)


async def _let_go(ports: Ports, held: Held) -> None:
    await conclude(ports, held, lambda _, job: (replace(job, due_at=job.wait_until), ()))

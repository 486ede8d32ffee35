"""Which policies are loaded: a version that is not the one before it is a line of every workspace's audit log."""

from collections.abc import Mapping
from typing import Any

from backlane.core.policy import Over
from backlane.core.storage import Transaction
from backlane.service.annotate import BACKLANE
from backlane.service.ports import Ports

Versions = Mapping[tuple[str, str], str | None]


async def note_policies(ports: Ports, noted: set[str]) -> None:
    """Note the versions that are loaded here, in each workspace that is not among those `noted` yet.

    Services that start at once with the same policies write one line together.
    """
    loaded = _loaded(ports)
    if not loaded:
        return
    for place in await ports.store.read(lambda tx: [str(row["id"]) for row in tx.workspaces()]):
        if place not in noted:
            await _note(ports, place, loaded)
            noted.add(place)


def _loaded(ports: Ports) -> Versions:
    """The version of each loaded type's policies, by what they judge; None where none has a say."""
    found: dict[tuple[str, str], str | None] = {}
    for name in ports.types.names():
        job_type = ports.types.get(name)
        if job_type is not None:
            found |= {(name, str(over)): job_type.rules.version(over) for over in Over}
    return found


async def _note(ports: Ports, workspace: str, loaded: Versions) -> None:
    def body(tx: Transaction) -> None:
        # Whoever started at the same time has either written it all, or waits.
        tx.lock_log(workspace)
        for (name, over), before, now in _changes(tx, workspace, loaded):
            at = ports.clock.now()
            tx.keep_policy_version(workspace, name, over, version=now, at=at)
            data: dict[str, Any] = {"over": over, "type": name, "from": before, "to": now}
            line = {"workspace": workspace, "at": at, "actor": BACKLANE, "action": "policy.changed"}
            tx.audit({**line, "subject": name, "data": data})

    if await ports.store.read(lambda tx: _changes(tx, workspace, loaded)):
        await ports.store.write(body)


def _changes(
    tx: Transaction, workspace: str, loaded: Versions
) -> list[tuple[tuple[str, str], str | None, str | None]]:
    """What is loaded and was not loaded last: its place, the version before, the version now."""
    before = {(row["type"], row["over"]): row["version"] for row in tx.policy_versions(workspace)}
    return [
        (place, before.get(place), now) for place, now in sorted(loaded.items()) if now != before.get(place)
    ]

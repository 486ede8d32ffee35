"""Deleting the copies of files at the provider that no open job uses any more. Survives crashes: the row says where
it stands, and a delete may be asked for again."""

from backlane.core.outcome import NotSent
from backlane.core.provider_file import Missing, Stored
from backlane.core.schedule import retry_delay
from backlane.core.storage import Row
from backlane.service.bring import abandoned
from backlane.service.ports import Ports

_AT_A_TIME = 50


async def forget_files(ports: Ports) -> int:
    """Work off the copies that are due; how many were seen to."""
    now = ports.clock.now()
    idle = await ports.store.read(lambda tx: tx.idle_provider_files(now, _AT_A_TIME))
    for copy in idle:
        await _forget(ports, copy)
    return len(idle)


async def _forget(ports: Ports, copy: Row) -> None:
    """Take one copy out of use, find its id if it is not known, delete it."""
    now = ports.clock.now()
    state = copy["state"]
    if state == "sending" and not abandoned(ports, copy, now):
        # Its worker still waits for the reply; that makes it due again.
        await _later(ports, copy, None)
        return
    if state != "deleting" and not await ports.store.write(lambda tx: tx.claim_idle_file(copy["id"], state)):
        return
    ports.point("file_deleting")
    if copy["sent_at"] is None:
        await _ended(ports, copy, "never_sent")
        return
    file_id = copy["provider_file_id"] or await _found(ports, copy, now)
    if file_id is None:
        return
    outcome = await ports.provider.delete_file(copy["provider_account"], file_id)
    if isinstance(outcome, Missing):
        await _ended(ports, copy, copy["code"], file_id)
    else:
        await _later(ports, copy, None if isinstance(outcome, NotSent) else outcome.retry_after)


async def _found(ports: Ports, copy: Row, now: int) -> str | None:
    """The id of an upload whose reply was lost; None if it is not there, or not known yet."""
    found = await ports.provider.find_file(copy["provider_account"], copy["filename"], copy["sent_at"])
    if isinstance(found, Stored):
        return found.file_id
    if not isinstance(found, Missing):
        await _later(ports, copy, None if isinstance(found, NotSent) else found.retry_after)
    elif now < (copy["finished_at"] or copy["sent_at"]) + ports.timings.unknown_wait:
        await _later(ports, copy, None)
    else:
        await _ended(ports, copy, "never_found")
    return None


async def _ended(ports: Ports, copy: Row, code: str | None, file_id: str | None = None) -> None:
    """Nothing of it is left at the provider."""
    known = {"code": code, "provider_file_id": file_id, "finished_at": ports.clock.now(), "due_at": None}
    await ports.store.write(
        lambda tx: tx.move_provider_file(copy["id"], ["deleting"], state="deleted", **known)
    )


async def _later(ports: Ports, copy: Row, hint: int | None) -> None:
    """Nothing was learned: see to it again later."""
    tries = copy["tries"]
    due_at = ports.clock.now() + retry_delay(tries, ports.timings, hint, ports.chance())
    changes = {"due_at": due_at, "tries": tries + 1}
    await ports.store.write(
        lambda tx: tx.move_provider_file(copy["id"], [copy["state"], "deleting"], **changes)
    )

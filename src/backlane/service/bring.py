"""Bringing a content to the provider: one copy for each content and account, whoever needs it.

A copy has an intent row: `planned`, then `sending`, then the socket. One whose reply was lost is looked for by
its name, which holds the row's id, before anything is uploaded anew.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, assert_never

from backlane.core.job import Job, Phase
from backlane.core.media import extension_of
from backlane.core.outcome import NotSent, Refused, Unknown, When
from backlane.core.provider_file import FileUpload, Missing, Stored, UploadOutcome
from backlane.core.schedule import DAY, HOUR, SECOND, retry_delay
from backlane.core.storage import Row, Transaction
from backlane.service.ports import Ports
from backlane.service.situate import Held

# Between looks at an upload that another job makes of the same content, milliseconds.
_SHARED_LOOK = 500
# The slowest line an upload is waited for: 256 bytes a millisecond.
_BYTES_PER_MILLISECOND = 256
# The provider takes expiry times from an hour to 30 days.
_LIFETIME_LEAST, _LIFETIME_MOST = HOUR, 30 * DAY
IN_USE = ("planned", "sending", "unknown", "ready")


@dataclass(frozen=True, slots=True)
class NotYet:
    """A file is not at the provider yet: when to go on, and why. `refusal` is one that a person must mend."""

    until: int
    phase: Phase
    code: str
    refusal: Refused | None = None


class CannotAttach(Exception):
    """A file can never be sent with this request."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


async def bring(ports: Ports, held: Held, row: Row) -> str | NotYet:
    """The provider's id of a content's one copy there, uploading it if there is none. Raises CannotAttach."""
    while True:
        copy = await ports.store.write(lambda tx: _current(tx, ports, held.job, row))
        if copy is None:
            continue
        match copy["state"]:
            case "ready":
                return str(copy["provider_file_id"])
            case "planned":
                result = await _upload(ports, held, row, copy)
            case "unknown":
                result = await _find(ports, held, copy)
            case _:
                return NotYet(ports.clock.now() + _SHARED_LOOK, Phase.CAPACITY, "file_upload")
        if result is not None:
            return result


def _current(tx: Transaction, ports: Ports, job: Job, row: Row) -> Row | None:
    """The copy in use, planned now if there is none; None if it was just changed and must be looked at again."""
    now = ports.clock.now()
    known = tx.provider_files(job.workspace, job.provider_account, row["sha256"])
    copy = next((one for one in reversed(known) if one["state"] in IN_USE), None)
    if copy is None:
        planned = _plan(ports, job, row, now)
        return planned if tx.plan_provider_file(planned) else None
    if copy["state"] == "ready" and not _lasts(copy, job, now):
        tx.move_provider_file(copy["id"], ["ready"], state="retiring")
        return None
    if copy["state"] == "sending" and abandoned(ports, copy, now):
        tx.move_provider_file(copy["id"], ["sending"], state="unknown", code="worker_lost", finished_at=now)
        return None
    return copy


def _plan(ports: Ports, job: Job, row: Row, now: int) -> Row:
    file_id = ports.ids.new("pfile")
    return {
        "id": file_id,
        "workspace": job.workspace,
        "provider_account": job.provider_account,
        "sha256": row["sha256"],
        "filename": f"{file_id}.{extension_of(row['media_type'])}",
        "state": "planned",
        "bytes": row["bytes"],
        "tries": 0,
        "planned_at": now,
        "due_at": now,
    }


def _lasts(copy: Row, job: Job, now: int) -> bool:
    """Whether the provider keeps a copy for as long as the job may need it."""
    needed = min(max(job.useful_until, now + HOUR), now + _LIFETIME_MOST - HOUR)
    return copy["expires_at"] is None or copy["expires_at"] >= needed


def _lifetime(ports: Ports, job: Job, now: int) -> int:
    wanted = max(ports.provider_file_lifetime, job.useful_until - now + HOUR)
    return min(max(wanted, _LIFETIME_LEAST), _LIFETIME_MOST)


def _patience(ports: Ports, size: int) -> int:
    """How long one upload may take, milliseconds."""
    return ports.timings.call_timeout + size // _BYTES_PER_MILLISECOND


def abandoned(ports: Ports, copy: Mapping[str, Any], now: int) -> bool:
    """Whether nobody will bring this upload's reply any more."""
    late = (copy["sent_at"] or 0) + 2 * _patience(ports, copy["bytes"])
    return ports.worker.is_gone(copy["sender"]) or now > late


async def _upload(ports: Ports, held: Held, row: Row, copy: Row) -> NotYet | None:
    """Commit `sending`, then upload, then keep what became of it."""
    content = await _opened(ports, row)
    with content:
        sent_at = ports.clock.now()
        sender = ports.worker.boot_id
        sending = {"state": "sending", "sent_at": sent_at, "sender": sender}
        if not await ports.store.write(lambda tx: tx.move_provider_file(copy["id"], ["planned"], **sending)):
            return None
        ports.point("upload_sending")
        upload = FileUpload(
            account=held.job.provider_account,
            filename=copy["filename"],
            media_type=row["media_type"],
            content=content,
            lifetime=_lifetime(ports, held.job, sent_at) // SECOND,
            timeout=_patience(ports, row["bytes"]),
        )
        outcome = await ports.provider.upload_file(upload)
    ports.health.note(upload.account, held.job.lane, outcome, sent_at, ports.clock.now())
    ports.point("upload_answered")
    return await _keep(ports, held, copy, outcome, sent_at + upload.lifetime * SECOND)


async def _opened(ports: Ports, row: Row) -> BinaryIO:
    if row["inline"] is not None:
        return io.BytesIO(row["inline"])
    return await ports.artifacts.open(row["sha256"])


async def _keep(
    ports: Ports, held: Held, copy: Row, outcome: UploadOutcome, expires_at: int
) -> NotYet | None:
    """What an upload answered, on its own row; None to go on at once."""
    now = ports.clock.now()
    match outcome:
        case Stored():
            await ports.store.write(lambda tx: keep_stored(tx, copy["id"], outcome, expires_at, now))
            return None
        case Unknown(code):
            changes = {"state": "unknown", "code": code[:100], "finished_at": now}
            await ports.store.write(lambda tx: tx.move_provider_file(copy["id"], ["sending"], **changes))
            return None
        case Refused() | NotSent():
            code = outcome.code if isinstance(outcome, Refused) else "not_sent"
            return await _not_taken(ports, held, copy, outcome, code)
        case _:
            assert_never(outcome)


def keep_stored(tx: Transaction, copy_id: str, stored: Stored, expires_at: int | None, now: int) -> None:
    """The provider's id on its row, whatever was thought of the upload meanwhile."""
    known = {"provider_file_id": stored.file_id, "expires_at": stored.expires_at or expires_at, "due_at": now}
    if not tx.move_provider_file(copy_id, ["sending", "unknown"], state="ready", finished_at=now, **known):
        tx.move_provider_file(copy_id, ["lost"], state="retiring", finished_at=now, **known)


async def _not_taken(
    ports: Ports, held: Held, copy: Row, outcome: Refused | NotSent, code: str
) -> NotYet | None:
    """Nothing is at the provider: the row ends, a later try makes a new one. Raises CannotAttach."""
    now = ports.clock.now()
    job = held.job

    def body(tx: Transaction) -> int:
        ends = {"state": "refused", "code": code[:100], "finished_at": now, "due_at": None}
        tx.move_provider_file(copy["id"], ["sending"], **ends)
        known = tx.provider_files(job.workspace, job.provider_account, copy["sha256"])
        return _refusals(known)

    tries = await ports.store.write(body)
    if isinstance(outcome, Refused) and outcome.when is When.NEVER:
        raise CannotAttach("file_refused", outcome.message)
    if isinstance(outcome, Refused) and outcome.when is When.INCIDENT:
        return NotYet(now, Phase.INCIDENT, code, outcome)
    hint = outcome.retry_after if isinstance(outcome, Refused) else None
    return NotYet(now + retry_delay(tries - 1, ports.timings, hint, ports.chance()), Phase.RETRY, code)


def _refusals(known: list[Row]) -> int:
    """How many uploads in a row were not taken."""
    count = 0
    for one in reversed(known):
        if one["state"] != "refused":
            break
        count += 1
    return max(count, 1)


async def _find(ports: Ports, held: Held, copy: Row) -> NotYet | None:
    """Look for an upload whose reply was lost: adopt it, wait for it, or give it up as lost."""
    asked_at = ports.clock.now()
    found = await ports.provider.find_file(copy["provider_account"], copy["filename"], copy["sent_at"])
    now = ports.clock.now()
    ports.health.note(copy["provider_account"], held.job.lane, found, asked_at, now)
    if isinstance(found, Stored):
        await ports.store.write(lambda tx: keep_stored(tx, copy["id"], found, None, now))
        return None
    if not isinstance(found, Missing):
        hint = None if isinstance(found, NotSent) else found.retry_after
        return NotYet(
            now + retry_delay(0, ports.timings, hint, ports.chance()), Phase.RETRY, "upload_unknown"
        )
    until = (copy["finished_at"] or now) + ports.timings.unknown_wait
    if now < until:
        return NotYet(until, Phase.RETRY, "upload_unknown")
    await ports.store.write(
        lambda tx: tx.move_provider_file(copy["id"], ["unknown"], state="lost", due_at=now)
    )
    return None


def forget_copies(tx: Transaction, job: Job) -> None:
    """A create was refused because a file is gone: the next attempt uploads the job's files anew."""
    for row in tx.files_of([job.id])[job.id]:
        for copy in tx.provider_files(job.workspace, job.provider_account, row["sha256"]):
            tx.move_provider_file(copy["id"], ["ready"], state="retiring", code="gone")

"""Reading: the Job, its events, artifacts and reviews as a caller may see them. Nothing is changed here."""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backlane.core.duration import Usual
from backlane.core.event import Change
from backlane.core.job import Job
from backlane.core.lane import kind_of
from backlane.core.schedule import MINUTE
from backlane.core.storage import Row, Search, Transaction
from backlane.errors import InvalidRequest
from backlane.service.access import Caller, visible
from backlane.service.ports import Ports
from backlane.service.view import Around, job_view, read_around, usual_of

_KINDS_AT_MOST = 10_000


async def read_job(ports: Ports, caller: Caller, job_id: str) -> dict[str, Any]:
    """One job. Raises NotFound."""

    def body(tx: Transaction) -> tuple[Job, Around]:
        job = visible(tx, caller, tx.job(job_id))
        return job, read_around(tx, [job])

    job, around = await ports.store.read(body)
    return job_view(ports, caller, job, around)


class Estimates:
    """What is usual for a type and lane, remembered for a minute: the answer to a submit needs no read for it."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._known: dict[tuple[str, str, str], tuple[Usual | None, int]] = {}

    async def usual_for(self, job: Job) -> Usual | None:
        """What is usual for jobs like this one; None where too few were seen."""
        kind, now = (job.workspace, job.type, kind_of(job.lane, job.window)), self._ports.clock.now()
        found, at = self._known.get(kind, (None, now - MINUTE))
        if 0 <= now - at < MINUTE:
            return found
        durations = await self._ports.store.read(lambda tx: usual_of(tx, [job]))
        if len(self._known) >= _KINDS_AT_MOST:
            self._known.clear()
        self._known[kind] = durations.get(kind[1:]), now
        return self._known[kind][0]


def fresh_view(ports: Ports, caller: Caller, job: Job, seq: int, usual: Usual | None) -> dict[str, Any]:
    """The Job as it was just made, with its first `seq` events and nothing else around it: no need to read it."""
    changes = [Change(job.created_at, job.status, job.phase)]
    newest = {job.id: (seq, job.created_at)}
    durations = {(job.type, kind_of(job.lane, job.window)): usual}
    none: dict[str, list[Row]] = {job.id: []}
    around = Around({job.id: []}, none, none, none, {job.id: changes}, newest, durations, {job.id: []}, none)
    return job_view(ports, caller, job, around)


async def read_raw(ports: Ports, caller: Caller, job_id: str) -> Job:
    """One job's row, if it is within sight. Raises NotFound."""
    return await ports.store.read(lambda tx: visible(tx, caller, tx.job(job_id)))


def within_sight(caller: Caller, search: Search) -> Search:
    """The search, narrowed to what the caller may see."""
    search = replace(search, workspace=caller.workspace)
    if caller.sees_everything:
        return search
    if caller.grant is not None:
        # Asked for another user, an end user finds nothing.
        theirs = search.user in (None, caller.grant.user)
        own = replace(
            search, submitted_by=caller.grant.service, user=caller.grant.user, ids=caller.grant.jobs
        )
        return own if theirs else replace(own, ids=frozenset[str]())
    role = caller.role if caller.role == "reviewer" else None
    return replace(search, submitted_by=caller.name, reviewed_by=role)


async def list_jobs(
    ports: Ports, caller: Caller, search: Search, cursor: str | None, secret: bytes
) -> dict[str, Any]:
    """A page of jobs within sight, newest first. Raises InvalidRequest for a foreign or broken cursor."""
    search = within_sight(caller, search)
    if cursor is not None:
        at, last = read_cursor(secret, caller, "jobs", cursor)
        search = replace(search, after=(int(at), str(last)))

    def body(tx: Transaction) -> tuple[list[Job], Around]:
        jobs = tx.search(replace(search, limit=search.limit + 1))
        return jobs, read_around(tx, jobs[: search.limit])

    jobs, around = await ports.store.read(body)
    page = jobs[: search.limit]
    following = None
    if len(jobs) > search.limit:
        following = write_cursor(secret, caller, "jobs", [page[-1].created_at, page[-1].id])
    return {"data": [job_view(ports, caller, job, around) for job in page], "next_cursor": following}


def write_cursor(secret: bytes, caller: Caller, of: str, place: Sequence[Any]) -> str:
    """A place in a list, signed and bound to the workspace."""
    body = json.dumps([of, caller.workspace, *place]).encode()
    mark = hmac.new(secret, body, hashlib.sha256).digest()[:12]
    return base64.urlsafe_b64encode(mark + body).decode().rstrip("=")


def read_cursor(secret: bytes, caller: Caller, of: str, cursor: str) -> list[Any]:
    """The place a cursor names. Raises InvalidRequest for one that was not made here for this caller."""
    wrong = InvalidRequest([("?cursor", "is not a cursor of this list")])
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise wrong from None
    mark, body = raw[:12], raw[12:]
    if not hmac.compare_digest(mark, hmac.new(secret, body, hashlib.sha256).digest()[:12]):
        raise wrong
    place = json.loads(body)
    if place[:2] != [of, caller.workspace]:
        raise wrong
    return place[2:]

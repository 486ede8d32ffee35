"""Who is asking, and what they may see and do. Deny by default; the workspace comes from the key alone."""

import hashlib
import hmac
import string
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from backlane.core.job import Gate, Job, Status
from backlane.core.schedule import DAY, MINUTE
from backlane.core.storage import Transaction
from backlane.errors import (
    AwaitingReview,
    InvalidRequest,
    NotFound,
    NotReleased,
    RoleRequired,
    StoreError,
    Unauthenticated,
)
from backlane.service.ports import Ports

ROLES = ("submitter", "reviewer", "support", "operator", "admin")
KEY_LIFETIME = 90 * DAY
_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase

# Every permission a route may ask for, and the roles that have it. A route without one cannot be served.
PERMISSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "anyone": frozenset(ROLES),
        "jobs.submit": frozenset({"submitter", "operator", "admin"}),
        "jobs.read": frozenset(ROLES),
        "jobs.inputs": frozenset(ROLES),
        "jobs.control": frozenset({"submitter", "operator", "admin"}),
        "jobs.resolve": frozenset({"operator", "admin"}),
        "artifacts.read": frozenset(ROLES),
        "files.upload": frozenset({"submitter", "operator", "admin"}),
        "reviews.read": frozenset({"reviewer", "operator", "admin"}),
        "lanes.read": frozenset({"support", "operator", "admin"}),
        "lanes.control": frozenset({"operator", "admin"}),
    }
)


@dataclass(frozen=True, slots=True)
class Caller:
    """The person or service behind a request, from the credential alone."""

    workspace: str
    workspace_name: str
    name: str
    kind: str
    role: str
    key_id: str

    @property
    def sees_everything(self) -> bool:
        """Whether every job of the workspace is within sight."""
        return self.role in ("support", "operator", "admin")


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return digits


def new_key(randomness: bytes) -> str:
    """A key: `blk_`, 30 random base62 characters and a checksum, so that leaked ones can be found."""
    body = _base62(int.from_bytes(randomness, "big"), 30)
    return f"blk_{body}{_base62(zlib.crc32(body.encode()), 6)}"


def looks_like_key(key: str) -> bool:
    """Whether a string has a key's form and checksum."""
    body, check = key[4:34], key[34:]
    return (
        key.startswith("blk_")
        and len(key) == 40
        and key.isascii()
        and _base62(zlib.crc32(body.encode()), 6) == check
    )


def key_hash(key: str) -> str:
    """What is stored of a key. 178 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()


async def authenticate(ports: Ports, header: str | None) -> Caller:
    """The caller behind an Authorization header. Raises Unauthenticated, alike for every reason."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not looks_like_key(key):
        raise Unauthenticated("A valid key is needed.")
    hashed = key_hash(key)
    row = await ports.store.read(lambda tx: tx.key(hashed))
    now = ports.clock.now()
    if row is None or not hmac.compare_digest(row["hash"], hashed):
        raise Unauthenticated("A valid key is needed.")
    if row["revoked_at"] is not None or (row["expires_at"] is not None and row["expires_at"] <= now):
        raise Unauthenticated("A valid key is needed.")
    if row["last_used_at"] is None or now - row["last_used_at"] > MINUTE:
        # A disk that is full must not keep people from reading.
        with suppress(StoreError):
            await ports.store.write(lambda tx: tx.touch_key(row["id"], now))
    return Caller(row["workspace"], row["workspace_name"], row["name"], row["kind"], row["role"], row["id"])


def require(caller: Caller, permission: str) -> None:
    """Raises RoleRequired unless the caller's role has the permission."""
    if caller.role not in PERMISSIONS[permission]:
        needed = " or ".join(sorted(PERMISSIONS[permission]))
        raise RoleRequired(f"This needs the role {needed}; yours is {caller.role}.")


def relation(caller: Caller, job: Job) -> frozenset[str]:
    """What the caller is to the job, in the lifecycle table's words."""
    found: set[str] = set()
    if job.submitted_by == caller.name:
        found.add("requester")
    if caller.role in ("operator", "admin"):
        found.add("operator")
    return frozenset(found)


def visible(tx: Transaction, caller: Caller, job: Job | None) -> Job:
    """The job, if it is within the caller's sight. Raises NotFound, alike for foreign and unknown ids."""
    if job is None or job.workspace != caller.workspace:
        raise NotFound()
    if caller.sees_everything or job.submitted_by == caller.name:
        return job
    if caller.role == "reviewer":
        reviews = tx.reviews_of([job.id])[job.id]
        if any(review["role"] == caller.role for review in reviews):
            return job
    raise NotFound()


def released(job: Job) -> bool:
    """Whether what a model wrote for this job may reach its submitter."""
    return job.gate is Gate.NONE or (job.status is Status.COMPLETED and job.review_state == "approved")


def closed_for(caller: Caller, job: Job) -> bool:
    """Whether the release gate stands between this caller and the job's outputs."""
    return not released(job) and (job.submitted_by == caller.name or caller.role == "submitter")


def open_content(caller: Caller, job: Job, reason: str | None) -> None:
    """Raises unless the caller may read what the job's run wrote."""
    if closed_for(caller, job):
        if job.finished_at is None:
            raise AwaitingReview("This job's output is being reviewed.")
        raise NotReleased("This job ended without its output being released.")
    if caller.role == "support" and job.submitted_by != caller.name and not reason:
        raise RoleRequired("Support reads contents only with a reason: add ?reason=…, it is audited.")


def note_read(
    tx: Transaction, ports: Ports, caller: Caller, action: str, subject: str, reason: str | None
) -> None:
    """One audit line for a read of something gated."""
    tx.audit(
        {
            "workspace": caller.workspace,
            "at": ports.clock.now(),
            "actor": caller.name,
            "action": action,
            "subject": subject,
            "data": {"role": caller.role, "key": caller.key_id, "reason": (reason or "")[:500]},
        }
    )


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; the only moment it can be read."""

    id: str
    key: str
    workspace: str
    name: str
    role: str
    expires_at: int


def make_key(
    tx: Transaction,
    ports: Ports,
    randomness: bytes,
    *,
    role: str,
    workspace: str,
    name: str,
    service: bool = False,
) -> NewKey:
    """Make a key, and the workspace and person it belongs to if they are new. Raises InvalidRequest."""
    if role not in ROLES:
        raise InvalidRequest([("/role", f"must be one of {', '.join(ROLES)}")])
    for pointer, value in (("/workspace", workspace), ("/name", name)):
        if not value.strip() or len(value) > 100 or not value.isprintable():
            raise InvalidRequest([(pointer, "must be 1 to 100 printable characters")])
    now = ports.clock.now()
    place = tx.workspace(workspace)
    if place is None:
        place = {"id": ports.ids.new("ws"), "name": workspace, "created_at": now}
        tx.insert_workspace(place)
    kind = "service" if service else "person"
    person = tx.principal(str(place["id"]), name)
    if person is None:
        person = {"id": ports.ids.new("prn"), "workspace": place["id"], "name": name, "kind": kind}
        tx.insert_principal({**person, "may_decide": not service, "created_at": now})
    elif person["kind"] != kind:
        raise InvalidRequest(
            [("/name", f"{name!r} is a {person['kind']} in this workspace; use another name")]
        )
    key = new_key(randomness)
    row: dict[str, Any] = {
        "id": ports.ids.new("key"),
        "workspace": place["id"],
        "principal_id": person["id"],
        "role": role,
        "hash": key_hash(key),
        "hint": key[:8],
        "created_at": now,
        "expires_at": now + KEY_LIFETIME,
        "revoked_at": None,
        "last_used_at": None,
    }
    tx.insert_key(row)
    subject = {"workspace": place["id"], "at": now, "actor": "command-line", "action": "key.created"}
    tx.audit({**subject, "subject": row["id"], "data": {"name": name, "role": role, "kind": kind}})
    return NewKey(row["id"], key, workspace, name, role, row["expires_at"])

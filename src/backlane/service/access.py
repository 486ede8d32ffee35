"""Who is asking, and what they may see and do. Deny by default; the workspace comes from the key alone."""

import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from backlane.core.job import Gate, Job, Status
from backlane.core.key import key_hash, looks_like_key, new_key
from backlane.core.review import is_requester, may_decide
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

# Who acts without a person: nobody may bear these names, or an actor would not be who it seems.
NOBODYS_NAMES = frozenset({"backlane", "system", "provider", "policy", "command-line"})
ROLES = ("submitter", "reviewer", "support", "operator", "admin")
KEY_LIFETIME = 90 * DAY

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
        "reviews.decide": frozenset(ROLES),
        "cases.read": frozenset(ROLES),
        "cases.change": frozenset({"support", "operator", "admin"}),
        "audit.read": frozenset({"admin"}),
        "actions.read": frozenset(ROLES),
        "actions.stop": frozenset({"operator", "admin"}),
        "actions.allow": frozenset({"admin"}),
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
    may_decide: bool = True

    @property
    def sees_everything(self) -> bool:
        """Whether every job of the workspace is within sight."""
        return self.role in ("support", "operator", "admin")


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
    who = (row["workspace"], row["workspace_name"], row["name"], row["kind"], row["role"], row["id"])
    return Caller(*who, may_decide=bool(row["may_decide"]))


def require(caller: Caller, permission: str) -> None:
    """Raises RoleRequired unless the caller's role has the permission."""
    if caller.role not in PERMISSIONS[permission]:
        needed = " or ".join(sorted(PERMISSIONS[permission]))
        raise RoleRequired(f"This needs the role {needed}; yours is {caller.role}.")


def relation(caller: Caller, job: Job, review: Mapping[str, Any] | None = None) -> frozenset[str]:
    """What the caller is to the job and its newest review, in the lifecycle table's words."""
    found: set[str] = set()
    if job.submitted_by == caller.name:
        found.add("requester")
    if caller.role in ("operator", "admin"):
        found.add("operator")
    if caller.role == "reviewer":
        found.add("onlooker")
    if review is not None and decides(caller, job, review):
        found.add("reviewer")
    return frozenset(found)


def decides(caller: Caller, job: Job, review: Mapping[str, Any]) -> bool:
    """Whether this caller may decide this review now, claims left aside."""
    apart = review["separate"] and is_requester(job.submitted_by, job.user, caller.name)
    allowed = caller.kind != "service" or caller.may_decide
    return review["state"] == "pending" and may_decide(review, caller.role) and allowed and not apart


def visible(tx: Transaction, caller: Caller, job: Job | None) -> Job:
    """The job, if it is within the caller's sight. Raises NotFound, alike for foreign and unknown ids."""
    if job is None or job.workspace != caller.workspace:
        raise NotFound()
    if caller.sees_everything or job.submitted_by == caller.name:
        return job
    if caller.role == "reviewer":
        reviews = tx.reviews_of([job.id])[job.id]
        handed_on = tx.escalations(job.id) if reviews else []
        roles = [*(one["role"] for one in reviews), *(one["from_role"] for one in handed_on)]
        if caller.role in roles:
            return job
    raise NotFound()


def released(job: Job) -> bool:
    """Whether what a model wrote for this job may reach its submitter."""
    return job.gate is Gate.NONE or (job.status is Status.COMPLETED and job.review_state == "approved")


def closed_for(caller: Caller, job: Job) -> bool:
    """Whether the release gate stands between this caller and what the job's run wrote."""
    whole = job.gate is Gate.NONE or (released(job) and job.released != "edited")
    return not whole and outside(caller, job)


def outside(caller: Caller, job: Job) -> bool:
    """Whether the release gate is there for this caller."""
    return job.submitted_by == caller.name or caller.role == "submitter"


def closed_event(caller: Caller, job: Job, seq: int) -> bool:
    """Whether an event is closed: what a draft left that was sent back stays so when the next one is released."""
    sent_back = job.sent_back_seq is not None and seq <= job.sent_back_seq
    return closed_for(caller, job) or (sent_back and outside(caller, job))


def closed_artifact(caller: Caller, job: Job, artifact: Mapping[str, Any]) -> bool:
    """Whether the gate stands before one artifact: an approved edit releases only the edited version."""
    if artifact["kind"] in ("input", "reviewer_notes"):
        return False
    if artifact["sent_back"]:
        return outside(caller, job)
    if released(job) and artifact["edited_by"] is not None:
        return False
    return closed_for(caller, job)


def open_content(caller: Caller, job: Job, artifact: Mapping[str, Any], reason: str | None) -> None:
    """Raises unless the caller may read this artifact's content."""
    if closed_artifact(caller, job, artifact):
        if job.finished_at is None:
            raise AwaitingReview("This job's output is being reviewed.")
        raise NotReleased("This job ended without its output being released.")
    require_reason(caller, job.submitted_by, reason)


def require_reason(caller: Caller, submitted_by: str, reason: str | None) -> None:
    """Raises RoleRequired if support reads what somebody else submitted, or got, without saying why."""
    if caller.role == "support" and submitted_by != caller.name and not reason:
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


def _place(tx: Transaction, ports: Ports, name: str) -> dict[str, Any]:
    """The workspace of this name, made if there is none."""
    found = tx.workspace(name)
    if found is not None:
        return found
    now = ports.clock.now()
    place = {"id": ports.ids.new("ws"), "name": name, "created_at": now}
    tx.insert_workspace(place)
    line = {"workspace": place["id"], "at": now, "actor": "command-line", "action": "workspace.created"}
    tx.audit({**line, "subject": place["id"], "data": {"name": name}})
    return place


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
    if name.strip().lower() in NOBODYS_NAMES:
        raise InvalidRequest(
            [("/name", f"{name!r} is what the service itself is called in events; take another")]
        )
    now = ports.clock.now()
    place = _place(tx, ports, workspace)
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
    line = {"workspace": place["id"], "at": now, "actor": "command-line"}
    data = {"name": name, "role": role, "kind": kind}
    tx.audit({**line, "action": "key.created", "subject": row["id"], "data": data})
    return NewKey(row["id"], key, workspace, name, role, row["expires_at"])

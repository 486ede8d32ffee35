"""Who is asking, and what they may see and do. Deny by default; the workspace comes from the key alone."""

import hmac
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from backlane.core.credential import key_hash, looks_like_key
from backlane.core.job import Gate, Job, Status
from backlane.core.review import is_requester, may_decide
from backlane.core.schedule import MINUTE
from backlane.core.storage import Transaction
from backlane.core.token import MARK, Grant, read_token
from backlane.errors import (
    AwaitingReview,
    NotFound,
    NotReleased,
    RoleRequired,
    StoreError,
    Unauthenticated,
)
from backlane.service.ports import Ports

ROLES = ("submitter", "reviewer", "support", "operator", "admin")

# What end users may ask with a token: to look, and what the verbs' own table lets them do.
LOOKS = frozenset({*ROLES, "token"})

# Every permission a route may ask for, and the roles that have it. A route without one cannot be served.
PERMISSIONS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "anyone": LOOKS,
        "jobs.submit": frozenset({"submitter", "operator", "admin"}),
        "jobs.read": LOOKS,
        "jobs.inputs": LOOKS,
        "jobs.control": frozenset({"submitter", "operator", "admin"}),
        "jobs.resolve": frozenset({"operator", "admin"}),
        "artifacts.read": LOOKS,
        "files.upload": frozenset({"submitter", "operator", "admin"}),
        "reviews.read": frozenset({"reviewer", "operator", "admin"}),
        "lanes.read": frozenset({"support", "operator", "admin"}),
        "lanes.control": frozenset({"operator", "admin"}),
        "reviews.decide": frozenset(ROLES),
        "cases.read": frozenset(ROLES),
        "cases.change": frozenset({"support", "operator", "admin"}),
        "audit.read": frozenset({"admin"}),
        "notes.write": frozenset(ROLES),
        "keys.manage": frozenset({"admin"}),
        "tokens.mint": frozenset({"submitter", "operator", "admin"}),
        "budgets.read": frozenset({"operator", "admin"}),
        "budgets.manage": frozenset({"admin"}),
        "actions.read": LOOKS,
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
    # Why support looks at what it sees only with a reason.
    reason: str | None = None
    # What an end user's token opens; None for everybody who has a key.
    grant: Grant | None = None

    @property
    def sees_everything(self) -> bool:
        """Whether every job of the workspace is within sight."""
        return self.role in ("support", "operator", "admin")


def owns(caller: Caller, job: Job) -> bool:
    """Whether this caller asked for the job: its submitter, or whom a service submitted it for, with a token."""
    grant = caller.grant
    if grant is None:
        return job.submitted_by == caller.name
    listed = grant.jobs is None or bool(grant.jobs & {job.id, job.retry_of})
    return (job.submitted_by, job.user) == (grant.service, grant.user) and listed


async def authenticate(ports: Ports, header: str | None) -> Caller:
    """The caller behind an Authorization header. Raises Unauthenticated, alike for every reason."""
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() == "bearer" and key.startswith(MARK):
        return await _bearer(ports, key)
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


async def _bearer(ports: Ports, token: str) -> Caller:
    """The end user behind a token; it lives no longer than the key that minted it. Raises Unauthenticated."""
    grant = read_token(ports.secret, token)
    if grant is None or grant.expires_at <= ports.clock.now():
        raise Unauthenticated("A valid key is needed.")
    row = await ports.store.read(lambda tx: tx.live_key(grant.key_id, ports.clock.now()))
    if row is None or row["name"] != grant.service:
        raise Unauthenticated("A valid key is needed.")
    who = (row["workspace"], row["workspace_name"], grant.name, "token", "token", row["id"])
    return Caller(*who, may_decide=False, grant=grant)


def require(caller: Caller, permission: str) -> None:
    """Raises RoleRequired unless the caller's role has the permission."""
    if caller.role not in PERMISSIONS[permission]:
        needed = " or ".join(sorted(PERMISSIONS[permission]))
        raise RoleRequired(f"This needs the role {needed}; yours is {caller.role}.")


def relation(caller: Caller, job: Job, review: Mapping[str, Any] | None = None) -> frozenset[str]:
    """What the caller is to the job and its newest review, in the lifecycle table's words."""
    found: set[str] = set()
    if owns(caller, job):
        found.add("requester" if caller.grant is None else "end user")
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
    if caller.sees_everything or owns(caller, job):
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
    passed = job.review_state == "approved" or job.released == "whole"
    return _open(job) or (job.status is Status.COMPLETED and passed)


def _open(job: Job) -> bool:
    """Whether no gate stands before this job, and all may know it."""
    return job.gate is Gate.NONE and not draw_unsaid(job)


def gated(job: Job) -> bool:
    """Whether there is, or was, a gate before this job: whoever else reads what it wrote is in the audit log."""
    return not _open(job)


def draw_unsaid(job: Job) -> bool:
    """Whether a draw spared this job, and its submitter is not told yet: until its result it looks like a drawn one.

    Whoever saw it sooner could cancel what was drawn, at no cost, and submit it again until it was spared.
    """
    return job.review_state == "sampled_out" and job.status is not Status.COMPLETED


def closed_for(caller: Caller, job: Job) -> bool:
    """Whether the release gate stands between this caller and what the job's run wrote."""
    whole = _open(job) or (released(job) and job.released != "edited")
    return not whole and outside(caller, job)


def outside(caller: Caller, job: Job) -> bool:
    """Whether the release gate is there for this caller."""
    return owns(caller, job) or caller.role in ("submitter", "token")


def closed_for_good(caller: Caller, job: Job, *, late: bool) -> bool:
    """Whether it is the text of a run that came too late to be looked at: no review of a gated job is about it."""
    return late and job.gate is not Gate.NONE and outside(caller, job)


def closed_event(caller: Caller, job: Job, seq: int | None, *, late: bool = False) -> bool:
    """Whether this caller is not shown what an event says; `late` is one about a text that came too late.

    What a draft left that was sent back stays closed when the next one is released; what was told before a gate
    was closed stays told.
    """
    place = seq or 0
    if closed_for_good(caller, job, late=late):
        return True
    sent_back = job.sent_back_seq is not None and place <= job.sent_back_seq and outside(caller, job)
    if sent_back or closed_for(caller, job):
        return place >= (job.closed_from or 0)
    return hidden_from(caller, job)


def side(caller: Caller, job: Job) -> tuple[bool, bool]:
    """All that `closed_event` asks of a caller: whoever stands on the same side of a job is told the same of it."""
    return outside(caller, job), lacks_reason(caller, job.submitted_by) and not caller.reason


def hidden_from(caller: Caller, job: Job) -> bool:
    """Whether this caller is not shown what the job's run wrote: for the gate, or for want of a reason to look."""
    return closed_for(caller, job) or (lacks_reason(caller, job.submitted_by) and not caller.reason)


def lacks_reason(caller: Caller, submitted_by: str) -> bool:
    """Whether this caller sees what was written for others only with a reason."""
    return caller.role == "support" and submitted_by != caller.name


def closed_artifact(caller: Caller, job: Job, artifact: Mapping[str, Any]) -> bool:
    """Whether the gate stands before one artifact: an approved edit releases only the edited version."""
    if artifact["kind"] in ("input", "reviewer_notes"):
        return False
    if artifact["sent_back"]:
        return outside(caller, job)
    if closed_for_good(caller, job, late=artifact["kind"] == "late"):
        return True
    # What a reviewer wrote in a draft's place is released by their approval.
    return (not released(job) or artifact["edited_by"] is None) and closed_for(caller, job)


def hidden_artifact(caller: Caller, job: Job, artifact: Mapping[str, Any]) -> bool:
    """Whether this caller is not shown how large one artifact is, and how its writer called it."""
    return closed_artifact(caller, job, artifact) or (
        artifact["kind"] != "input" and hidden_from(caller, job) and not closed_for(caller, job)
    )


def open_content(caller: Caller, job: Job, artifact: Mapping[str, Any], reason: str | None) -> None:
    """Raises unless the caller may read this artifact's content."""
    if closed_artifact(caller, job, artifact):
        if job.finished_at is None:
            raise AwaitingReview("This job's output is being reviewed.")
        raise NotReleased("This job ended without its output being released.")
    require_reason(caller, job.submitted_by, reason)


def require_reason(caller: Caller, submitted_by: str, reason: str | None) -> None:
    """Raises RoleRequired if support reads what somebody else submitted, or got, without saying why."""
    if lacks_reason(caller, submitted_by) and not reason:
        raise RoleRequired("Support reads contents only with a reason: add ?reason=…, it is audited.")


def note_read(
    tx: Transaction, ports: Ports, caller: Caller, action: str, subject: str, reason: str | None, **data: Any
) -> None:
    """One audit line for a read of something gated."""
    tx.audit(
        {
            "workspace": caller.workspace,
            "at": ports.clock.now(),
            "actor": caller.name,
            "action": action,
            "subject": subject,
            "data": {"role": caller.role, "key": caller.key_id, "reason": (reason or "")[:500], **data},
        }
    )

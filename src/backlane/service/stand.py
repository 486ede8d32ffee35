"""Whether an approval still stands, asked in the very transaction that commits `dispatching`, or a send."""

from backlane.core.action import Action
from backlane.core.job import Job
from backlane.core.policy import Over
from backlane.core.review import Decision, is_requester
from backlane.core.storage import Row, Transaction
from backlane.service.approve_action import POLICY
from backlane.service.judge import allowed_as_it_is, policy_version
from backlane.service.ports import Ports
from backlane.service.seal import seal_action


def stopped(tx: Transaction, workspace: str) -> bool:
    """Whether the kill switch is on. It, and every key, stays as it is found here until this transaction ends.

    Whoever turns it, or takes a key back, adds a line to the workspace's log in the same transaction: they come
    one after the other. Call it before `why_void`, and lock no other row after it.
    """
    tx.lock_log(workspace)
    return tx.actions_stopped_at(workspace) is not None


def why_void(
    tx: Transaction, ports: Ports, job: Job, action: Action, content: str | None, *, let_go: bool = False
) -> str | None:
    """Why this action may not be carried out on the approval it has; None if it may.

    The bytes are sealed anew from the row, so what is dispatched is what was approved. A call that was
    `let_go` has its one dispatch already, and waits for the run that takes it along.
    """
    now = ports.clock.now()
    if seal_action(action).hash != action.payload_hash:
        return "altered"
    if content != action.content:
        return "content_changed"
    if now >= action.expires_at:
        return "approval_expired"
    if not let_go and tx.dispatch(action.id) is not None:
        return "spent"
    version = policy_version(ports.types.get(job.type), Over.ACTION)
    if action.policy_version != version:
        return "policy_changed"
    if action.review_id is None:
        allowed = action.approved_by == POLICY and allowed_as_it_is(tx, job, action, version)
        return None if allowed else "not_approved"
    review = tx.review(action.review_id)
    if review is None or review["state"] != "approved" or review["payload_hash"] != action.payload_hash:
        return "not_approved"
    return None if _standing(tx, job, review, now) >= review["quorum"] else "approver_gone"


def _standing(tx: Transaction, job: Job, review: Row, now: int) -> int:
    """How many of those who approved exactly these bytes may still decide it."""
    found: set[str] = set()
    for row in tx.decisions(review["id"]):
        same = row["version"] == review["version"] and row["payload_hash"] == review["payload_hash"]
        apart = review["separate"] and is_requester(job.submitted_by, job.user, row["actor"])
        if same and row["decision"] == Decision.APPROVE and not apart and _holds(tx, row, now):
            found.add(row["actor"])
    return len(found)


def _holds(tx: Transaction, decision: Row, now: int) -> bool:
    """Whether who decided still holds the role they decided in, by a key that is valid now."""
    for one in tx.live_roles(decision["workspace"], decision["actor"], now):
        person = one["kind"] != "service" or one["may_decide"]
        if person and one["role"] in (decision["role"], "admin"):
            return True
    return False

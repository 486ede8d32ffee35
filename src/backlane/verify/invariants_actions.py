"""The invariants of what people approve and what then leaves: I10 to I15, as pure functions over rows and logs."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from backlane.core.action import UNSENT, Action, ActionState, Origin
from backlane.core.job import RESTORED
from backlane.core.lifecycle import TERMINAL
from backlane.core.review import Decision
from backlane.service.seal import seal_action
from backlane.verify.evidence import Evidence, Row, by, data_of

Finding = Iterator[str]
_SETTLERS = frozenset({"receipt", "lookup", "person", "provider"})
_NOBODY = frozenset({"backlane", "system", "provider", "policy", ""})


def _sealed(action: Row, arguments: str) -> str:
    """The hash of what was sent, made anew from the rows."""
    values: dict[str, Any] = {**action, "arguments": arguments}
    values["state"], values["origin"] = ActionState(values["state"]), Origin(values["origin"])
    return seal_action(Action(**values)).hash


def dispatched_once(evidence: Evidence) -> Finding:
    """I10: an action is dispatched at most once, under its one key, committed before the world sees it."""
    sent = {row["action_id"]: row for row in evidence.dispatches}
    actions = {row["id"]: row for row in evidence.actions}
    told = Counter(
        data_of(one).get("action") for one in evidence.events if one["type"] == "action.dispatched"
    )
    told.subtract(_taken_back(evidence))
    for action_id, count in Counter(row["action_id"] for row in evidence.dispatches).items():
        if count > 1 or told[action_id] != count:
            yield f"{action_id} was dispatched {count} times and told of {told[action_id]} times"
        action = actions.get(action_id)
        if action is None or sent[action_id]["key"] != action["key"]:
            yield f"{action_id} was dispatched under another key than its own"
    for action in evidence.actions:
        left = (
            action["state"] in ("dispatching", "succeeded", "unknown") or action["dispatched_at"] is not None
        )
        # What was carried out between a backup and its restore lost its row with what was replaced.
        if left and action["id"] not in sent and not _from_backup(evidence, action):
            yield f"{action['id']} is {action['state']} without a dispatch"
    if evidence.world_log is None:
        return
    keys = {row["key"]: row for row in evidence.dispatches}
    for key, count in Counter(line["key"] for line in evidence.world_log).items():
        known = {row["key"] for row in evidence.actions if _from_backup(evidence, row)}
        if key not in keys and key not in known:
            yield f"the world saw {key}, which was never dispatched"
        elif count > 1:
            yield f"the world saw {key} {count} times"


def _taken_back(evidence: Evidence) -> Counter[Any]:
    """How often each remote call that was let go was taken back with a run that was never sent."""
    unsent = {row["id"] for row in evidence.attempts if row["state"] == "not_sent" and row["sent_at"] is None}
    again = [data_of(one) for one in evidence.events if one["type"] == "action.proposed"]
    return Counter(data["action"] for data in again if data.get("not_sent") in unsent)


def _from_backup(evidence: Evidence, action: Row) -> bool:
    """Whether nobody can know if it was dispatched: it, or the run it came from, is older than the restore."""
    came_from = next((row for row in evidence.attempts if row["id"] == action["attempt_id"]), None)
    marked = came_from is not None and came_from["sender"] == RESTORED
    return marked and evidence.restored_at is not None


def one_hash(evidence: Evidence) -> Finding:
    """I11: the bytes dispatched, approved and shown have one hash, sealed from what they bind."""
    actions = {row["id"]: row for row in evidence.actions}
    reviews = {row["id"]: row for row in evidence.reviews}
    for review in evidence.reviews:
        digest = hashlib.sha256(review["payload"].encode()).hexdigest()
        if f"sha256:{digest}" != review["payload_hash"]:
            yield f"{review['id']} shows other bytes than its hash names"
    for row in evidence.dispatches:
        action = actions.get(row["action_id"])
        if action is None:
            yield f"{row['action_id']} was dispatched and has no row"
            continue
        if _sealed(action, row["arguments"]) != row["payload_hash"]:
            yield f"{action['id']} was dispatched with other bytes than were approved"
        if action["arguments"] != row["arguments"]:
            yield f"{action['id']} says other arguments than it was dispatched with"
        if row["review_id"] is not None and reviews[row["review_id"]]["payload_hash"] != row["payload_hash"]:
            yield f"{action['id']} was dispatched on the approval of something else"


def approved_when_sent(evidence: Evidence) -> Finding:
    """I12: at dispatch there was an approval, live and unspent, by people who held the role; the job was open.

    What came first is judged by the order of events: a clock may be set back.
    """
    actions = {row["id"]: row for row in evidence.actions}
    jobs = {row["id"]: row for row in evidence.jobs}
    reviews = {row["id"]: row for row in evidence.reviews}
    order = _order(evidence)
    for row in evidence.dispatches:
        action, job = actions.get(row["action_id"]), jobs[row["job_id"]]
        if action is None:
            continue
        at = _left_at(evidence, row, action)
        if at >= action["expires_at"]:
            yield f"{action['id']} was dispatched after its approval had ended"
        if row["review_id"] is None:
            if action["approved_by"] != "policy" or job["authority"] != "low_risk_write":
                yield f"{action['id']} was dispatched without an approval"
            continue
        review = reviews[row["review_id"]]
        late = review["closed_at"] is None or not order.get(review["id"], 0) < order.get(action["id"], 0)
        if review["state"] != "approved" or late or review["job_id"] != row["job_id"]:
            yield f"{action['id']} was dispatched on a review that is {review['state']}"
        if len(_standing(evidence, review, job, at)) < review["quorum"]:
            yield f"{action['id']} was dispatched without enough people who might approve it"
    yield from _after_the_end(evidence)


def _left_at(evidence: Evidence, dispatch: Row, action: Row) -> int:
    """When it left: at its dispatch; a remote call later, with the last run that was sent to take it along."""
    if action["origin"] != Origin.MCP:
        return dispatch["at"]
    runs = {row["attempt_id"] for row in evidence.turns if row["previous_attempt"] == action["attempt_id"]}
    sent = [row["sent_at"] for row in evidence.attempts if row["id"] in runs and row["sent_at"] is not None]
    return max([dispatch["at"], *sent])


def _order(evidence: Evidence) -> dict[str, int]:
    """The number of the last event that decided each review, and of that which dispatched each action."""
    found: dict[str, int] = {}
    names = {"review.decided": "review", "action.dispatched": "action"}
    for event in sorted(evidence.events, key=lambda one: one["seq"] or 0):
        if event["type"] in names:
            found[str(data_of(event).get(names[event["type"]]))] = event["seq"]
    return found


def _standing(evidence: Evidence, review: Row, job: Row, at: int) -> set[str]:
    """Who approved this version of exactly these bytes and held the role when it was sent."""
    found: set[str] = set()
    for one in evidence.decisions:
        same = one["review_id"] == review["id"] and one["version"] == review["version"]
        if not same or one["decision"] != Decision.APPROVE or one["payload_hash"] != review["payload_hash"]:
            continue
        apart = review["separate"] and one["actor"] in (job["submitted_by"], job["user"])
        if not apart and any(_held(key, one, at) for key in evidence.keys):
            found.add(one["actor"])
    return found


def _held(key: Row, decision: Row, at: int) -> bool:
    mine = key["name"] == decision["actor"] and key["workspace"] == decision["workspace"]
    until = [end for end in (key["revoked_at"], key["expires_at"]) if end is not None]
    live = key["created_at"] <= at and all(at < end for end in until)
    return mine and live and key["role"] in (decision["role"], "admin") and _decides(key)


def _decides(key: Row) -> bool:
    """Whether it is a person's key, or one with which a service may decide."""
    return key["kind"] != "service" or bool(key["may_decide"])


def _after_the_end(evidence: Evidence) -> Finding:
    """No action is sent by a job that has ended or after it was taken back, and none waits in an ended job."""
    terminal = {str(status) for status in TERMINAL}
    ended: set[str] = set()
    for event in sorted(evidence.events, key=lambda one: (one["job_id"] or "", one["seq"] or 0)):
        if event["type"] == "action.dispatched" and event["job_id"] in ended:
            yield f"{event['job_id']} dispatched an action after its end"
        after = data_of(event).get("after")
        if after and after["status"] in terminal:
            ended.add(event["job_id"])
    sent = {row["action_id"] for row in evidence.dispatches}
    for event in evidence.events:
        if event["type"] == "action.undone" and data_of(event).get("action") in sent:
            yield f"{data_of(event)['action']} was taken back by {event['actor']} and dispatched"
    over = {job["id"] for job in evidence.jobs if job["status"] in terminal}
    for action in evidence.actions:
        if action["job_id"] in over and action["state"] in {*UNSENT, ActionState.DISPATCHING}:
            yield f"{action['id']} is {action['state']} in a job that has ended"


def new_bytes_new_approval(evidence: Evidence) -> Finding:
    """I13: an approval stands for one version of one action of one attempt, and is spent once."""
    hashes: dict[tuple[str, int], str] = {}
    for one in evidence.decisions:
        known = hashes.setdefault((one["review_id"], one["version"]), one["payload_hash"])
        if known != one["payload_hash"]:
            yield f"{one['review_id']} version {one['version']} was decided under two hashes"
    by_review: dict[str, set[str]] = {}
    for (review_id, version), digest in hashes.items():
        if digest in by_review.setdefault(review_id, set()):
            yield f"{review_id} version {version} has the hash of an earlier version"
        by_review[review_id].add(digest)
    for review_id, count in Counter(row["review_id"] for row in evidence.dispatches).items():
        if review_id is not None and count > 1:
            yield f"{review_id} was spent {count} times"
    attempts = {row["id"]: row["job_id"] for row in evidence.attempts}
    for action in evidence.actions:
        if attempts.get(action["attempt_id"]) != action["job_id"]:
            yield f"{action['id']} names an attempt of another job"


def one_outcome(evidence: Evidence) -> Finding:
    """I14: each review has one outcome, by people or services that may, each counted once, never the requester."""
    decided = by(evidence.decisions, "review_id")
    jobs = {row["id"]: row for row in evidence.jobs}
    people = {(key["workspace"], key["name"]) for key in evidence.keys if _decides(key)}
    for review in evidence.reviews:
        rows = decided.get(review["id"], [])
        job = jobs[review["job_id"]]
        for one in rows:
            if (one["workspace"], one["actor"]) not in people:
                yield f"{review['id']} was decided by {one['actor']!r}, whom nobody knows, or who may not"
            if review["separate"] and one["actor"] in (job["submitted_by"], job["user"]):
                yield f"{review['id']} was decided by the requester {one['actor']!r}"
        counted = Counter((one["version"], one["actor"]) for one in rows)
        if any(count > 1 for count in counted.values()):
            yield f"{review['id']} counts one person twice"
        rejected = any(one["decision"] == Decision.REJECT for one in rows)
        approving = {
            one["actor"]
            for one in rows
            if one["version"] == review["version"] and one["decision"] == Decision.APPROVE
        }
        resolved = review["kind"] in ("submission_unknown", "effect_unknown", "budget")
        if review["state"] == "approved" and not resolved and (rejected or len(approving) < review["quorum"]):
            yield f"{review['id']} is approved by {sorted(approving)} of {review['quorum']}"
        sent_back = any(one["decision"] == Decision.REQUEST_CHANGES for one in rows)
        if sent_back and (rejected or review["state"] == "approved"):
            yield f"{review['id']} was sent back and is {review['state']}"
        if rejected and review["state"] != "rejected":
            yield f"{review['id']} was rejected and is {review['state']}"


def unknown_is_settled(evidence: Evidence) -> Finding:
    """I15: the ledger leaves `unknown` only by its receipt, a lookup (a negative one after the quiet), a person."""
    resolved = {
        data_of(event).get("action"): event["actor"]
        for event in evidence.events
        if event["type"] == "action.resolved"
    }
    for action in evidence.actions:
        ended = action["state"] in ("succeeded", "failed")
        if ended and action["settled_by"] not in _SETTLERS:
            yield f"{action['id']} is {action['state']} and nobody said so"
        if ended and action["settled_by"] == "person" and resolved.get(action["id"], "") in _NOBODY:
            yield f"{action['id']} was settled by a person without a name"
        quiet = (action["dispatched_at"] or 0) + 2 * action["timeout"]
        negative = action["state"] == "failed" and action["settled_by"] == "lookup"
        if negative and action["finished_at"] < quiet:
            yield f"{action['id']} was found not to have happened before it was quiet"
        receipted = action["state"] == "succeeded" and action["settled_by"] in ("receipt", "lookup")
        if receipted and action["receipt"] is None:
            yield f"{action['id']} succeeded without a receipt"
        if action["state"] == "unknown" and action["finished_at"] is not None:
            yield f"{action['id']} is unknown and has ended"


ACTION_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "I10": dispatched_once,
    "I11": one_hash,
    "I12": approved_when_sent,
    "I13": new_bytes_new_approval,
    "I14": one_outcome,
    "I15": unknown_is_settled,
}

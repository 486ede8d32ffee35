"""The invariants of what goes on without a person: policies, draws and what is sensitive. Pure, over rows."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from backlane.core.action import SENT_BACK
from backlane.core.authority import Authority, stricter
from backlane.core.job import Gate
from backlane.core.policy import NO_POLICY
from backlane.verify.evidence import Evidence, Row, by, data_of

Finding = Iterator[str]
# A person need not look at what is behind these.
_OPEN = frozenset({"none", "policy"})


def _newest(rows: list[Row]) -> Row | None:
    return max(rows, key=lambda row: row["id"]) if rows else None


def allowed_before_it_acted(evidence: Evidence) -> Finding:
    """P1: what acts without a person has the newest word of its policies, an allow of the same bytes and version."""
    actions = {row["id"]: row for row in evidence.actions}
    jobs = {row["id"]: row for row in evidence.jobs}
    said = by(evidence.verdicts, "action_id")
    for row in evidence.dispatches:
        action = actions.get(row["action_id"])
        if action is None:
            continue
        newest = _newest([one for one in said.get(action["id"], []) if one["at"] <= row["at"]])
        if newest is not None and newest["answer"] == "refuse":
            yield f"{action['id']} was dispatched though its policy refused it"
        if row["review_id"] is not None:
            continue
        if newest is None or newest["answer"] != "allow":
            yield f"{action['id']} was dispatched without a person and without a policy's allow"
            continue
        if newest["payload_hash"] != row["payload_hash"]:
            yield f"{action['id']} was dispatched on a policy's allow of other bytes"
        if newest["version"] != action["policy_version"] or newest["version"] == NO_POLICY:
            yield f"{action['id']} was dispatched on the allow of policy {newest['version']}"
        if jobs[row["job_id"]]["gate"] == Gate.SAMPLED:
            yield f"{action['id']} was dispatched without a person, and its job was drawn"


def draws_agree(evidence: Evidence) -> Finding:
    """P2: one draw a job, of its own or kept from the same work; never looser; the gate and the state follow it."""
    draws = {row["job_id"]: row for row in evidence.draws}
    jobs = {row["id"]: row for row in evidence.jobs}
    for job_id, count in Counter(row["job_id"] for row in evidence.draws).items():
        if count > 1:
            yield f"{job_id} was drawn {count} times"
    for job in evidence.jobs:
        draw = draws.get(job["id"])
        if job["review_state"] == "sampled_out" and (
            draw is None or draw["drawn"] or job["gate"] not in _OPEN
        ):
            yield f"{job['id']} is sampled out without a draw that spared it"
        former = jobs.get(job["retry_of"] or job["continues"] or "")
        before = draws.get(former["id"]) if former is not None else None
        if before is not None and before["drawn"] and (draw is None or not draw["drawn"]):
            yield f"{job['id']} follows a job that was drawn, and was not"
        if draw is None:
            continue
        if draw["drawn"] and job["gate"] in _OPEN:
            yield f"{job['id']} was drawn, and its gate is {job['gate']}"
        if draw["at"] != job["created_at"] or not 0 <= draw["value"] < 1:
            yield f"{job['id']} was not drawn at its submit"
        if draw["drawn"] != (draw["value"] < draw["rate"]) and not (before or draw)["drawn"]:
            yield f"{job['id']} was drawn against its rate"
        yield from _kept_or_own(job, draw, former, before)


def _kept_or_own(job: Row, draw: Row, former: Row | None, before: Row | None) -> Finding:
    """A draw of its own; or the one of the job before it, where that was drawn or the work is the same."""
    same = former is not None and job["retry_of"] is not None
    same = same and former is not None and job["inputs_digest"] == former["inputs_digest"]
    if draw["drawn_for"] == job["id"]:
        if same and before is not None:
            yield f"{job['id']} was drawn anew, though it stands for the same work"
        return
    kept = before is not None and all(before[name] == draw[name] for name in ("value", "drawn_for"))
    if before is None or not kept or not (same or before["drawn"]):
        yield f"{job['id']} has the draw of {draw['drawn_for']}"


def acted_as_allowed(evidence: Evidence, job: Row) -> bool:
    """Whether the success of its actions released the job, each of them approved by its policy and by nobody else."""
    mine = [one for one in evidence.actions if one["job_id"] == job["id"] and one["code"] != SENT_BACK]
    done = all((one["state"], one["approved_by"]) == ("succeeded", "policy") for one in mine)
    loose = job["gate"] in (Gate.POLICY, Gate.OUTPUT) and job["sensitive"] is None
    return bool(mine) and done and loose and job["authority"] == Authority.LOW_RISK_WRITE


def released_as_judged(evidence: Evidence) -> Finding:
    """P3: nothing is released that its policy refused; what a policy released it had allowed, and was not sensitive."""
    said = by([one for one in evidence.verdicts if one["over"] == "output"], "job_id")
    results = by([one for one in evidence.artifacts if one["kind"] == "result"], "job_id")
    for job in evidence.jobs:
        if job["status"] != "completed":
            continue
        newest, kept = _newest(said.get(job["id"], [])), _newest(results.get(job["id"], []))
        if newest is not None and newest["answer"] == "refuse":
            yield f"{job['id']} is completed though its policy refused the output"
        if job["review_state"] == "approved":
            continue
        if newest is not None and (newest["answer"] != "allow" or newest["sensitive"]):
            yield f"{job['id']} is completed without a person, whom its policy or hook asked for"
        about = newest["artifact_id"] if newest is not None else None
        if kept is None and acted_as_allowed(evidence, job):
            continue
        if job["gate"] == Gate.POLICY and (kept is None or about != kept["id"]):
            yield f"{job['id']} was released by a policy that had not answered"


def only_tightened(evidence: Evidence) -> Finding:
    """P4: what is sensitive is behind a gate that a person opens; no job is looser than the one it stands for."""
    jobs = {row["id"]: row for row in evidence.jobs}
    for job in evidence.jobs:
        if job["sensitive"] is not None and job["gate"] in _OPEN:
            yield f"{job['id']} is sensitive, and its gate is {job['gate']}"
        former = jobs.get(job["retry_of"] or job["continues"] or "")
        if former is None:
            continue
        if stricter(Gate(job["gate"]), Gate(former["gate"])) is not Gate(job["gate"]) and _before(
            former, job
        ):
            yield f"{job['id']} has the gate {job['gate']}; {former['id']}, which it follows, has {former['gate']}"
        if former["sensitive"] is not None and job["sensitive"] is None and _before(former, job):
            yield f"{job['id']} is not sensitive, and {former['id']}, which it follows, is"


def _before(former: Row, job: Row) -> bool:
    """Whether the former job had ended when this one was made: its gate moves no more then."""
    ended: Any = former["finished_at"]
    return ended is not None and ended <= job["created_at"]


def changes_are_told(evidence: Evidence) -> Finding:
    """P5: each change of a loaded policy is an audit line that begins where the one before it ended."""
    told: dict[tuple[str, str, str], Any] = {}
    lines = [row for row in evidence.audit if row["action"] == "policy.changed"]
    for row in sorted(lines, key=lambda row: row["seq"]):
        data = data_of(row)
        place = (row["workspace"], str(data.get("type")), str(data.get("over")))
        if data.get("from") != told.get(place) or data.get("to") == told.get(place):
            yield f"{row['id']} says {data.get('from')} became {data.get('to')}, it was {told.get(place)}"
        told[place] = data.get("to")
    kept = {(row["workspace"], row["type"], row["over"]): row["version"] for row in evidence.policy_versions}
    for place in sorted(kept.keys() | told.keys()):
        if kept.get(place) != told.get(place):
            _, name, over = place
            yield f"{name} has policy {kept.get(place)} over {over}, the audit log says {told.get(place)}"


POLICY_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "P1": allowed_before_it_acted,
    "P2": draws_agree,
    "P3": released_as_judged,
    "P4": only_tightened,
    "P5": changes_are_told,
}

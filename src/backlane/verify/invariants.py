"""The invariants I04 to I08, I16, I17, I21, I22 and I29, and those beside; every later feature joins them."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from backlane.core.job import Gate, Status
from backlane.core.lifecycle import TERMINAL
from backlane.store.chain import sha256
from backlane.verify import invariants_case
from backlane.verify.evidence import Evidence, Report, by, data_of
from backlane.verify.invariants_actions import ACTION_INVARIANTS
from backlane.verify.invariants_budgets import BUDGET_INVARIANTS
from backlane.verify.invariants_events import EVENT_INVARIANTS
from backlane.verify.invariants_files import FILE_INVARIANTS, FILE_NEEDS
from backlane.verify.invariants_hooks import events_never_believed, events_stored_once
from backlane.verify.invariants_lanes import LANE_INVARIANTS
from backlane.verify.invariants_limits import LIMIT_INVARIANTS
from backlane.verify.invariants_policy import POLICY_INVARIANTS, acted_as_allowed
from backlane.verify.invariants_purchases import PURCHASE_INVARIANTS
from backlane.verify.invariants_review import REVIEW_INVARIANTS
from backlane.verify.invariants_steer import STEER_INVARIANTS
from backlane.verify.invariants_stream import STREAM_INVARIANTS, STREAM_NEEDS
from backlane.verify.invariants_tools import TOOL_INVARIANTS

Finding = Iterator[str]
_RUN_ENDED = frozenset({"completed", "failed", "incomplete", "canceled", "gone"})


def accepted_jobs_exist(evidence: Evidence) -> Finding:
    """I04: what was accepted is there, with the same inputs."""
    for job in evidence.jobs:
        body = evidence.inputs.get(job["id"])
        if body is None:
            yield f"{job['id']} has no inputs"
        elif sha256(body) != job["inputs_digest"]:
            yield f"{job['id']}'s inputs do not hash to their record"
    known = {job["id"] for job in evidence.jobs}
    for submit in evidence.submits or ():
        if submit["outcome"] == "ok" and submit["job"] not in known:
            yield f"{submit['job']} was accepted and is not there"


def one_job_per_key(evidence: Evidence) -> Finding:
    """I05: one key and body, one job; another body makes nothing."""
    seen: dict[str, tuple[str, str]] = {}
    for submit in evidence.submits or ():
        if submit["outcome"] != "ok" or submit.get("key") is None:
            continue
        first = seen.setdefault(submit["key"], (submit["body_hash"], submit["job"]))
        if first != (submit["body_hash"], submit["job"]):
            yield f"key {submit['key']!r} was answered with {first[1]} and {submit['job']}"
    known = {job["id"] for job in evidence.jobs}
    for row in evidence.idempotency_keys:
        if row["job_id"] not in known:
            yield f"key {row['key']!r} names {row['job_id']}, which is not there"


def cost_settled_once(evidence: Evidence) -> Finding:
    """I17: cost is booked exactly once per run that ended, whatever became of its job."""
    lines = Counter(row["attempt_id"] for row in evidence.cost_lines)
    for row in evidence.attempts:
        bought = row["provider_response_id"] is not None
        if row["state"] == "canceled" and row["look_at"] is not None and lines[row["id"]] == 0:
            continue  # its last word is still to come
        if row["state"] in _RUN_ENDED and bought and lines[row["id"]] != 1:
            yield f"{row['id']} ended {row['state']} with {lines[row['id']]} cost lines"
    told = Counter(
        data_of(event).get("attempt") for event in evidence.events if event["type"] == "cost.settled"
    )
    for attempt_id, count in told.items():
        if count > 1:
            yield f"{attempt_id}'s cost was settled {count} times"


def stale_writes_refused(evidence: Evidence) -> Finding:
    """I21: each write that changed a job made a version of its own; two writers of one version would show."""
    changes = by((event for event in evidence.events if "version" in data_of(event)), "job_id")
    for job in evidence.jobs:
        ordered = sorted(changes.get(job["id"], []), key=lambda row: row["seq"])
        versions: list[int] = [data_of(event)["version"] for event in ordered]
        if versions != sorted(set(versions)) or (versions and versions[-1] > job["version"]):
            yield f"{job['id']} was changed at versions {versions}, its row is at {job['version']}"
    gone = {row["job_id"] for row in evidence.attempts if row["state"] == "gone"}
    for job in evidence.jobs:
        failure: dict[str, Any] = job["failure"] or {}
        if failure.get("code") == "result_gone" and job["id"] not in gone:
            yield f"{job['id']} lost an answer that its provider had given"


def nothing_in_limbo(evidence: Evidence) -> Finding:
    """I22: every open job waits for a time, a person or the provider; nothing is forgotten."""
    pending = {row["job_id"] for row in evidence.reviews if row["state"] == "pending"}
    terminal = {str(status) for status in TERMINAL}
    for job in evidence.jobs:
        if job["status"] in terminal:
            continue
        if job["status"] == Status.NEEDS_REVIEW:
            if job["phase"] != "canceling" and job["id"] not in pending:
                yield f"{job['id']} needs a review that nobody was asked for"
        elif job["due_at"] is None:
            yield f"{job['id']} is {job['status']}/{job['phase']} and nobody will look at it again"
        elif evidence.now is not None and job["due_at"] < evidence.now - 300_000:
            yield f"{job['id']} has been due for {(evidence.now - job['due_at']) // 1000} s"


def gated_jobs_wait(evidence: Evidence) -> Finding:
    """I16: nothing but a person's approval completes a gated job, or a policy's allow one that is left to a policy:
    of its output, or of every action it took.
    """
    allowed = {
        row["job_id"] for row in evidence.verdicts if (row["over"], row["answer"]) == ("output", "allow")
    }
    for job in evidence.jobs:
        passed = job["gate"] != Gate.NONE and job["status"] == Status.COMPLETED
        if passed and job["gate"] == Gate.POLICY and job["id"] in allowed:
            continue
        if passed and acted_as_allowed(evidence, job):
            continue
        if passed and job["review_state"] != "approved":
            yield f"{job['id']} is completed, its review is {job['review_state']}"


def artifacts_hash(evidence: Evidence) -> Finding:
    """I29: artifact bytes hash to their record."""
    for artifact_id in evidence.broken_artifacts or ():
        yield f"{artifact_id} does not hash to its record"


_OWN: dict[str, Callable[[Evidence], Finding]] = {
    "I04": accepted_jobs_exist,
    "I05": one_job_per_key,
    "I16": gated_jobs_wait,
    "I17": cost_settled_once,
    "I19": events_stored_once,
    "I20": events_never_believed,
    "I21": stale_writes_refused,
    "I22": nothing_in_limbo,
    "I29": artifacts_hash,
}
_ROOMS = (
    PURCHASE_INVARIANTS,
    _OWN,
    EVENT_INVARIANTS,
    ACTION_INVARIANTS,
    REVIEW_INVARIANTS,
    TOOL_INVARIANTS,
    STEER_INVARIANTS,
    FILE_INVARIANTS,
    STREAM_INVARIANTS,
    LANE_INVARIANTS,
    LIMIT_INVARIANTS,
    BUDGET_INVARIANTS,
    invariants_case.INVARIANTS,
    POLICY_INVARIANTS,
)
INVARIANTS = {name: invariant for room in _ROOMS for name, invariant in room.items()}
assert len(INVARIANTS) == sum(map(len, _ROOMS)), "two invariants have one name"
# What cannot be judged without these; the rest of such an invariant is judged from the rows alone.
_NEEDS: dict[str, tuple[str, str]] = {
    "I01": ("provider_log", "needs the provider's truth log"),
    "I02": ("provider_log", "judged from our rows only; the provider's truth log was not given"),
    "I04": ("submits", "judged from our rows only; no client's history was given"),
    "I05": ("submits", "judged from our rows only; no client's history was given"),
    "I08": ("watches", "judged from our rows only; no follower's history was given"),
    "I10": ("world_log", "judged from our rows only; the outside world's log was not given"),
    "I19": ("provider_log", "judged from our rows only; the provider's truth log was not given"),
    "I20": ("provider_log", "needs the provider's truth log"),
    "I29": ("broken_artifacts", "the artifacts' bytes were not read"),
    **FILE_NEEDS,
    **STREAM_NEEDS,
}


def check(evidence: Evidence) -> Report:
    """Judge every invariant that the evidence allows, and name each one it does not."""
    report = Report()
    for name, invariant in INVARIANTS.items():
        report.violations += [(name, what) for what in invariant(evidence)]
        missing = _NEEDS.get(name)
        if missing is not None and getattr(evidence, missing[0]) is None:
            report.not_judged[name] = missing[1]
        else:
            report.judged.append(name)
    return report

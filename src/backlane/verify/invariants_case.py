"""I30 and C01: who did what is written down once and chained; cases and marks are where their events left them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backlane.store.chain import GENESIS, link
from backlane.verify.evidence import Evidence, Row, data_of

Finding = Iterator[str]
# Who acts without a person; what they do is told by events alone.
_NOBODY = frozenset({"backlane", "system", "provider", "policy", "command-line"})
# Each event of a person and the audit line it goes with.
_LINES = {
    "job.cancel_requested": "job.cancel",
    "job.canceled": "job.cancel",
    "job.retried": "job.retry",
    "job.resolved": "job.resolve",
    "job.escalated": "job.escalate",
    "job.archived": "job.archive",
    "job.unarchived": "job.unarchive",
    "job.held": "job.hold",
    "job.unheld": "job.release",
    "job.noted": "job.note",
    "job.messaged": "job.message",
    "review.claimed": "review.claimed",
    "review.decided": "review.decided",
    "case.opened": "case.open",
    "case.closed": "case.close",
    "action.undone": "action.undo",
    "action.resolved": "action.resolve",
}
_ACTIONS = frozenset(_LINES.values())


def _by(rows: Iterable[Row], name: str) -> dict[Any, list[Row]]:
    found: dict[Any, list[Row]] = {}
    for row in sorted(rows, key=lambda row: row["seq"]):
        found.setdefault(row[name], []).append(row)
    return found


def audit_is_whole(evidence: Evidence) -> Finding:
    """I30: the audit log is whole, vouches for the jobs' chains, and has one line per deed, naming its actor."""
    yield from _chain(evidence)
    yield from _heads(evidence)
    yield from _deeds(evidence)
    yield from _keys(evidence)


def _chain(evidence: Evidence) -> Finding:
    for workspace, rows in _by(evidence.audit, "workspace").items():
        if [row["seq"] for row in rows] != list(range(1, len(rows) + 1)):
            yield f"the audit log of {workspace} has gaps or doubles"
        chain = GENESIS
        for row in rows:
            if not row["actor"]:
                yield f"{row['id']} names nobody"
            chain = link(
                chain, row["seq"], row["at"], row["actor"], row["action"], row["subject"], row["data"]
            )
            if chain != row["chain"]:
                yield f"the audit log of {workspace} breaks at line {row['seq']}"
                break


def _heads(evidence: Evidence) -> Finding:
    """A line about a job holds the head of its chain: events taken off its end would show."""
    heads = {(row["job_id"], row["seq"]): row["chain"] for row in evidence.events}
    for row in evidence.audit:
        data = data_of(row)
        if "event_chain" not in data or data.get("event_seq") == 0:
            continue
        if heads.get((data.get("job"), data.get("event_seq"))) != data["event_chain"]:
            yield f"{row['id']}: {data.get('job')} had another event {data.get('event_seq')} when {row['actor']} acted"


def _deeds(evidence: Evidence) -> Finding:
    done: Counter[tuple[str, str, str]] = Counter()
    for event in evidence.events:
        action = _LINES.get(event["type"])
        # Words to a job that had ended stand with the job that goes on from it.
        if event["type"] == "job.messaged" and "continued_as" in data_of(event):
            continue
        if action is not None and event["actor"] not in _NOBODY:
            done[action, _subject(event), event["actor"]] += 1
    told: Counter[tuple[str, str, str]] = Counter(
        (row["action"], row["subject"], row["actor"]) for row in evidence.audit if row["action"] in _ACTIONS
    )
    for deed in done.keys() | told.keys():
        if done[deed] != told[deed]:
            action, subject, actor = deed
            yield f"{action} of {subject} by {actor} happened {done[deed]} times, the audit log has {told[deed]}"


def _subject(event: Row) -> str:
    data = data_of(event)
    if event["type"].startswith("review."):
        return str(data.get("review"))
    if event["type"].startswith("action."):
        return str(data.get("action"))
    return str(data.get("case")) if event["type"].startswith("case.") else str(event["job_id"])


def _keys(evidence: Evidence) -> Finding:
    told = Counter((row["action"], row["subject"]) for row in evidence.audit)
    for key in evidence.keys:
        if told["key.created", key["id"]] != 1:
            yield f"{key['id']} was made with {told['key.created', key['id']]} audit lines"
        if told["key.revoked", key["id"]] != (key["revoked_at"] is not None):
            yield f"{key['id']} was revoked with {told['key.revoked', key['id']]} audit lines"


def cases_and_marks(evidence: Evidence) -> Finding:
    """C01: one open case per job at most; a job's cases, notes, marks and end are where its events left them."""
    events = _by((row for row in evidence.events if row["job_id"]), "job_id")
    cases: dict[str, list[Row]] = {}
    for case in evidence.cases:
        cases.setdefault(case["job_id"], []).append(case)
    for job in evidence.jobs:
        told = events.get(job["id"], [])
        yield from _cases_of(job, cases.get(job["id"], []), told)
        yield from _marks_of(job, told)
        yield from _end_of(job, told)
    yield from _notes(evidence)


def _cases_of(job: Row, cases: list[Row], told: list[Row]) -> Finding:
    if sum(case["state"] == "open" for case in cases) > 1:
        yield f"{job['id']} has more than one open case"
    known = {case["id"] for case in cases}
    named = [str(data_of(row).get("case")) for row in told if row["type"] == "case.opened"]
    if job["case_id"] != (named[-1] if named else None):
        yield f"{job['id']} names case {job['case_id']}, the one opened last is {named[-1] if named else None}"
    if known != set(named):
        yield f"{job['id']} has cases {sorted(known)}, its events tell of {sorted(set(named))}"
    for case in cases:
        states = [
            data_of(row).get("state")
            for row in told
            if row["type"].startswith("case.") and data_of(row).get("case") == case["id"]
        ]
        alternating = all(state == ("open", "closed")[n % 2] for n, state in enumerate(states))
        if not alternating or not states or states[-1] != case["state"]:
            yield f"{case['id']} is {case['state']}, its events say {states}"
        if (case["state"] == "closed") != (case["closed_by"] is not None and case["closed_at"] is not None):
            yield f"{case['id']} is {case['state']} and closed by {case['closed_by']}"


def _marks_of(job: Row, told: list[Row]) -> Finding:
    for on, off, is_on in (
        ("job.archived", "job.unarchived", job["archived_at"] is not None),
        ("job.held", "job.unheld", bool(job["held"])),
    ):
        last = next((row["type"] for row in reversed(told) if row["type"] in (on, off)), off)
        if (last == on) != is_on:
            yield f"{job['id']} is {'' if is_on else 'not '}marked, the last event is {last}"
    if job["archived_at"] is not None and job["finished_at"] is None:
        yield f"{job['id']} is archived and has not ended"


def _end_of(job: Row, told: list[Row]) -> Finding:
    """An ended job is still what its last change said: when, and why."""
    retried = [data_of(row).get("retried_as") for row in told if row["type"] == "job.retried"]
    if retried != ([] if job["retried_as"] is None else [job["retried_as"]]):
        yield f"{job['id']} was retried as {job['retried_as']}, its events say {retried}"
    last = next((row for row in reversed(told) if "after" in data_of(row)), None)
    if job["finished_at"] is None or last is None:
        return
    failure: dict[str, Any] = job["failure"] or {}
    if job["finished_at"] != last["at"]:
        yield f"{job['id']} ended at {job['finished_at']}, its event says {last['at']}"
    if last["type"] == "job.failed" and failure.get("code") != data_of(last).get("code"):
        yield f"{job['id']} failed with {failure.get('code')}, its event says {data_of(last).get('code')}"


def _notes(evidence: Evidence) -> Finding:
    told = {str(data_of(row).get("note")) for row in evidence.events if row["type"] == "job.noted"}
    known = {row["id"] for row in evidence.notes}
    for missing in sorted(told ^ known):
        yield f"{missing} is {'told of and not there' if missing in told else 'there and not told of'}"
    for event in evidence.events:
        if event["type"] == "job.noted" and "text" in data_of(event):
            yield f"{event['job_id']} #{event['seq']} tells a note's text"


INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {"I30": audit_is_whole, "C01": cases_and_marks}

"""The invariants of buying, I01 to I03: an intent first, one create for each, nothing in doubt sent again."""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

from backlane.core.job import RESTORED
from backlane.verify.evidence import Evidence, Row, by, data_of

Finding = Iterator[str]
_SLACK = 50  # milliseconds between two clocks of one machine


def _creates(evidence: Evidence) -> list[tuple[str, Row]]:
    """The creates the provider saw that carry our attempt id."""
    found: list[tuple[str, Row]] = []
    for line in evidence.provider_log or ():
        metadata: dict[str, str] = line.get("metadata") or {}
        if line["call"] == "create" and "backlane_attempt" in metadata:
            found.append((metadata["backlane_attempt"], line))
    return found


def _purchases(evidence: Evidence) -> list[tuple[str, Row]]:
    """Those that were not doubled on the way, found later, and kept as runs nobody had asked for."""
    found_later = {row["provider_response_id"] for row in evidence.attempts if row["stray"]}
    return [one for one in _creates(evidence) if one[1].get("response_id") not in found_later]


def intent_before_create(evidence: Evidence) -> Finding:
    """I01: every create the provider saw has an intent, committed before its first byte."""
    attempts = {row["id"]: row for row in evidence.attempts}
    for attempt_id, line in _creates(evidence):
        row = attempts.get(attempt_id)
        forgotten = row is None or row["code"] == RESTORED
        if forgotten and evidence.restored_at is not None and line["at"] * 1000 <= evidence.restored_at:
            continue  # bought after the backup was made; its row went with what was replaced
        if row is None:
            yield f"the provider saw a create for {attempt_id}, which has no row"
        elif row["sent_at"] is None or row["sent_at"] > line["at"] * 1000 + _SLACK:
            yield f"{attempt_id} was sent before its intent was committed"


def one_create_per_attempt(evidence: Evidence) -> Finding:
    """I02: at most one create per attempt; a further one needs an attempt that names its reason."""
    for attempt_id, count in Counter(attempt for attempt, _ in _purchases(evidence)).items():
        if count > 1:
            yield f"{attempt_id} was sent {count} times"
    for job_id, rows in by(evidence.attempts, "job_id").items():
        numbers = [row["number"] for row in sorted(rows, key=lambda row: row["number"])]
        if numbers != list(range(1, len(rows) + 1)):
            yield f"{job_id} has attempts numbered {numbers}"
        for row in rows:
            if (row["reason"] == "first") != (row["number"] == 1):
                yield f"{row['id']} is number {row['number']} with reason {row['reason']}"


def doubtful_never_resent(evidence: Evidence) -> Finding:
    """I03: what may have been sent is sent again by nobody but a person, or once by declared choice."""
    for job_id, rows in by(evidence.attempts, "job_id").items():
        # What somebody doubled on the way, and what was found of it, was nobody's purchase.
        ours = [row for row in rows if not row["stray"]]
        ordered = sorted(ours, key=lambda row: row["number"])
        for before, after in pairwise(ordered):
            in_doubt = before["state"] in ("sending", "unknown")
            if in_doubt and after["reason"] not in ("person", "rebuy"):
                yield f"{job_id}: {after['id']} ({after['reason']}) follows {before['id']}, which is {before['state']}"
        if sum(row["reason"] == "rebuy" for row in ours) > 1:
            yield f"{job_id} was bought again by itself more than once"
    sent = Counter(
        data_of(event).get("attempt") for event in evidence.events if event["type"] == "attempt.sent"
    )
    for attempt_id, count in sent.items():
        if count > 1:
            yield f"{attempt_id} was marked as sent {count} times"
    states = {row["id"]: row["state"] for row in evidence.attempts}
    for attempt_id, line in _purchases(evidence):
        if states.get(attempt_id) in ("refused", "not_sent") and line.get("outcome") == "accepted":
            yield f"{attempt_id} was bought and is called {states[attempt_id]}"


PURCHASE_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "I01": intent_before_create,
    "I02": one_create_per_attempt,
    "I03": doubtful_never_resent,
}

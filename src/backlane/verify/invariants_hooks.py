"""The invariants about the provider's events: I19 stored once and only if genuine, I20 never believed."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from backlane.core.job import RESTORED
from backlane.verify.evidence import Evidence, Row

Finding = Iterator[str]
_DOOR = "/v1/providers/openai/webhooks"
_STATES = frozenset({"new", "parked", "applied", "foreign"})
_SETTLED = frozenset({"applied", "foreign"})
_REFUSED = frozenset({400, 404, 413})
# Calls that bring a run's end back to us.
_LOOKS = frozenset({"retrieve", "cancel", "stream"})


def _deliveries(evidence: Evidence) -> dict[str, set[Any]]:
    """What the provider's deliveries to our door were answered with, by webhook id."""
    found: dict[str, set[Any]] = {}
    for line in evidence.provider_log or ():
        if line["call"] == "webhook" and str(line.get("path", "")).split("?")[0].endswith(_DOOR):
            found.setdefault(line["webhook_id"], set()).update(line.get("statuses") or ())
    return found


def events_stored_once(evidence: Evidence) -> Finding:
    """I19: every genuine event is stored once before it is answered, a refused one never; each ends once."""
    for place, count in Counter(
        (row["provider_account"], row["webhook_id"]) for row in evidence.inbox
    ).items():
        if count > 1:
            yield f"webhook {place[1]} of account {place[0]} is stored {count} times"
    for row in evidence.inbox:
        settled = row["state"] in _SETTLED
        if (
            row["state"] not in _STATES
            or settled != (row["due_at"] is None)
            or settled != (row["applied_at"] is not None)
        ):
            yield f"webhook {row['webhook_id']} is {row['state']}, due at {row['due_at']}, done at {row['applied_at']}"
    stored = {row["webhook_id"] for row in evidence.inbox}
    for webhook_id, answers in _deliveries(evidence).items():
        taken = any(answer is not None and 200 <= answer < 300 for answer in answers)
        # Taken before a backup was made or restored: its row went with what was replaced.
        if taken and webhook_id not in stored and evidence.restored_at is None:
            yield f"webhook {webhook_id} was answered as taken and is not stored"
        if answers and answers <= _REFUSED and webhook_id in stored:
            yield f"webhook {webhook_id} was refused and is stored"


def events_never_believed(evidence: Evidence) -> Finding:
    """I20: what an event says changes nothing: states come from calls by id, adoptions from a run's metadata."""
    if evidence.provider_log is None:
        return
    heard_of = {row["response_id"] for row in evidence.inbox}
    looked_at = {
        line["response_id"] for line in evidence.provider_log if line["call"] in _LOOKS or line.get("stream")
    }
    made = {line["response_id"]: line for line in evidence.provider_log if line["call"] == "create"}
    for attempt in evidence.attempts:
        response_id = attempt["provider_response_id"]
        if response_id is None or response_id not in heard_of:
            continue
        if attempt["finished_at"] is not None and response_id not in looked_at:
            yield f"{attempt['id']} is {attempt['state']} and nobody ever looked at {response_id}"
        yield from _named(attempt, made.get(response_id))


def _named(attempt: Row, made: Row | None) -> Finding:
    """Whether the run's own metadata names the attempt that has it."""
    metadata: dict[str, str] = (made or {}).get("metadata") or {}
    if attempt["stray"] or attempt["code"] == RESTORED:
        matches = metadata.get("backlane_job") == attempt["job_id"]
    else:
        matches = metadata.get("backlane_attempt") == attempt["id"]
    if not matches:
        yield f"{attempt['id']} has {attempt['provider_response_id']}, whose metadata names another"

"""The invariants of work that was sent back, R1 and R2: said to the model once, as written; never shown again."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

from backlane.core.action import SENT_BACK
from backlane.core.review import Decision
from backlane.verify.evidence import Evidence, Row, by

Finding = Iterator[str]
# What tools and actions brought does not belong to one draft.
_STAYS = frozenset({"tool_output", "record"})


def sent_back_once(evidence: Evidence) -> Finding:
    """R1: each request for changes ends its review, and is one new attempt that says exactly its note."""
    wanted = [row for row in evidence.decisions if row["decision"] == Decision.REQUEST_CHANGES]
    sent_back = {row["review_id"] for row in wanted}
    turns = {row["attempt_id"]: row for row in evidence.turns}
    for review in evidence.reviews:
        if (review["state"] == SENT_BACK) != (review["id"] in sent_back):
            was = "was" if review["id"] in sent_back else "was not"
            yield f"{review['id']} is {review['state']}, and {was} sent back"
    made = by((row for row in evidence.attempts if row["reason"] == SENT_BACK), "job_id")
    asked = by(wanted, "job_id")
    for job_id in {*made, *asked}:
        attempts = sorted(made.get(job_id, []), key=lambda row: row["number"])
        notes = sorted(asked.get(job_id, []), key=lambda row: row["at"])
        if len(attempts) != len(notes):
            yield f"{job_id} was sent back {len(notes)} times, with {len(attempts)} attempts"
        for attempt, note in zip(attempts, notes, strict=False):
            if not _says(turns.get(attempt["id"]), note["notes"]):
                yield f"the note of {note['id']} is not what {attempt['id']} says"
    sent_back_at = {row["id"]: row["sent_back_at"] or 0 for row in evidence.jobs}
    for decision in wanted:
        if sent_back_at[decision["job_id"]] < decision["at"]:
            yield f"{decision['job_id']} forgot that {decision['id']} sent it back"


def _says(turn: Row | None, note: str) -> bool:
    """Whether the turn says this in a person's voice."""
    if turn is None or turn["kind"] != "changes":
        return False
    items = cast(list[dict[str, Any]], json.loads(turn["items"]))
    return any(one.get("role") == "user" and one.get("content") == note for one in items)


def never_shown_again(evidence: Evidence) -> Finding:
    """R2: what a reviewer sent back is in no later review of its job, so no later approval releases it."""
    kinds = {row["id"]: row["kind"] for row in evidence.artifacts}
    for job_id, rows in by(evidence.reviews, "job_id").items():
        gone: set[str] = set()
        for review in sorted(rows, key=lambda row: (row["opened_at"], row["id"])):
            payload: dict[str, Any] = json.loads(review["payload"])
            shown = {one["id"] for one in payload.get("artifacts", []) if kinds.get(one["id"]) not in _STAYS}
            again = gone & shown
            if again:
                yield f"{review['id']} of {job_id} shows {sorted(again)} again"
            if review["state"] == SENT_BACK:
                gone |= shown


REVIEW_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "R1": sent_back_once,
    "R2": never_shown_again,
}

"""The invariants of reviews, R1 to R3: what is sent back is said once and never shown again; none is handed down."""

import json
from collections.abc import Callable, Iterator
from typing import Any, cast

from backlane.core.action import SENT_BACK
from backlane.core.review import DECIDING, STAYS, Decision, lesser
from backlane.verify.evidence import Evidence, Row, by, data_of

Finding = Iterator[str]


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
    for job_id, notes in by(wanted, "job_id").items():
        attempts = made.pop(job_id, [])
        if len(attempts) != len(notes):
            yield f"{job_id} was sent back {len(notes)} times, with {len(attempts)} attempts"
        for note in notes:
            said = next((row for row in attempts if _says(turns.get(row["id"]), note["notes"])), None)
            if said is None:
                yield f"the note of {note['id']} was not said to the model as it was written"
            attempts = [row for row in attempts if row is not said]
    for job_id in made:
        yield f"{job_id} has an attempt for changes that nobody asked for"


def _says(turn: Row | None, note: str) -> bool:
    """Whether the turn says this in a person's voice."""
    if turn is None or turn["kind"] != "changes":
        return False
    items = cast(list[dict[str, Any]], json.loads(turn["items"]))
    return any(one.get("role") == "user" and one.get("content") == note for one in items)


def never_shown_again(evidence: Evidence) -> Finding:
    """R2: what a reviewer sent back is marked, and in no other review of its job, so no approval releases it."""
    drafts = {row["id"]: row for row in evidence.artifacts if row["kind"] not in STAYS}
    for job_id, rows in by(evidence.reviews, "job_id").items():
        shown = {row["id"]: _shown(row) & drafts.keys() for row in rows}
        for review in (row for row in rows if row["state"] == SENT_BACK):
            mine = shown[review["id"]]
            for other, theirs in shown.items():
                if other != review["id"] and mine & theirs:
                    yield f"{other} of {job_id} shows {sorted(mine & theirs)} again"
            for artifact in sorted(mine):
                if not drafts[artifact]["sent_back"]:
                    yield f"{artifact} was sent back with {review['id']} and is not marked"
    yield from _closed_events(evidence)


def _shown(review: Row) -> set[str]:
    payload: dict[str, Any] = json.loads(review["payload"])
    return {one["id"] for one in payload.get("artifacts", [])}


def _closed_events(evidence: Evidence) -> Finding:
    """What the job keeps closed reaches to its newest request for changes."""
    until = {row["id"]: row["sent_back_seq"] or 0 for row in evidence.jobs}
    for event in evidence.events:
        asked = (
            event["type"] == "review.decided" and data_of(event).get("decision") == Decision.REQUEST_CHANGES
        )
        if asked and until[event["job_id"]] < event["seq"]:
            yield f"{event['job_id']} forgot that it was sent back at {event['seq']}"


def never_handed_down(evidence: Evidence) -> Finding:
    """R3: a review is handed on to no lesser role, whoever handed it on."""
    for row in evidence.escalations:
        had, has = row["from_role"], row["to_role"]
        if row["review_id"] is None or had not in DECIDING:
            continue
        if has not in DECIDING or lesser(has, had):
            yield f"{row['review_id']} was handed from {had} down to {has} by {row['actor']}"


REVIEW_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "R1": sent_back_once,
    "R2": never_shown_again,
    "R3": never_handed_down,
}

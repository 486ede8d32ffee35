"""What the checker holds about events: they tell every change, end where the job ended, and are whole."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from backlane.core.lifecycle import TABLE, TERMINAL
from backlane.store.chain import GENESIS, canonical, link, sha256
from backlane.verify.evidence import Evidence, by, data_of

Finding = Iterator[str]

_EVENT_MOVES: dict[str, set[tuple[Any, Any]]] = {}
for _row in TABLE.values():
    _moves = {(None if source is None else str(source), str(target)) for source, target in _row.moves.items()}
    _EVENT_MOVES.setdefault(_row.event, set()).update(_moves)


def changes_follow_the_table(evidence: Evidence) -> Finding:
    """I06: every change of status is in the table and has its event; the row is where its events left it."""
    events = by(evidence.events, "job_id")
    for job in evidence.jobs:
        place: dict[str, Any] | None = None
        for event in sorted(events.get(job["id"], []), key=lambda row: row["seq"]):
            data = data_of(event)
            if "after" not in data:
                continue
            before, after = data["before"], data["after"]
            if before != place:
                yield f"{job['id']} #{event['seq']} says it was {before}, it was {place}"
            pair = (before["status"] if before else None, after["status"])
            if pair not in _EVENT_MOVES.get(event["type"], set()):
                yield f"{job['id']} #{event['seq']} {event['type']} {pair} is not in the table"
            place = after
        if place != {"status": job["status"], "phase": job["phase"]}:
            yield f"{job['id']} is {job['status']}/{job['phase']}, its events end at {place}"


def ended_stays_ended(evidence: Evidence) -> Finding:
    """I07: a terminal status never changes; only late facts are added."""
    events = by(evidence.events, "job_id")
    terminal = {str(status) for status in TERMINAL}
    for job in evidence.jobs:
        ended = False
        for event in sorted(events.get(job["id"], []), key=lambda row: row["seq"]):
            data = data_of(event)
            after = data.get("after")
            if after and ended:
                yield f"{job['id']} changed after its end: #{event['seq']} {event['type']}"
            # By the order of events: a machine's clock may have been set back meanwhile.
            if ended and event["type"] == "artifact.added" and data.get("kind") not in ("late", "partial"):
                yield f"{job['id']} got {data.get('kind')} artifact {data.get('artifact')} after its end"
            ended = ended or bool(after and after["status"] in terminal)


def events_are_whole(evidence: Evidence) -> Finding:
    """I08: events are numbered 1 to n without gaps, chained, and followers saw each once and in order."""
    for job_id, rows in by((row for row in evidence.events if row["job_id"]), "job_id").items():
        ordered = sorted(rows, key=lambda row: row["seq"])
        if [row["seq"] for row in ordered] != list(range(1, len(ordered) + 1)):
            yield f"{job_id} has gaps or doubles in its event numbers"
        chain = GENESIS
        for row in ordered:
            if row["data"] is not None and sha256(canonical(json.loads(row["data"]))) != row["digest"]:
                yield f"{job_id} #{row['seq']} was altered: its data does not hash to its digest"
            chain = link(chain, job_id, row["seq"], row["type"], row["at"], row["actor"], row["digest"])
            if chain != row["chain"]:
                yield f"{job_id} #{row['seq']} breaks the chain"
                break
    for number, seen in enumerate(evidence.watches or ()):
        if list(seen) != list(range(seen[0], seen[0] + len(seen))) if seen else False:
            yield f"follower {number} saw {list(seen)[:20]}"


EVENT_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "I06": changes_follow_the_table,
    "I07": ended_stays_ended,
    "I08": events_are_whole,
}

"""The invariants of the interactive lane and of what is said again, M1 to M4: nothing is rebought, no word is lost."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from backlane.verify.evidence import Evidence, Row, data_of

Finding = Iterator[str]
# The item by which a turn names an unfinished answer; written again here, so that a slip there shows.
_UNFINISHED = "backlane_unfinished"
_TERMINAL = frozenset({"completed", "failed", "canceled", "expired"})


def held_runs_stay_held(evidence: Evidence) -> Finding:
    """M1: an interactive run is bought in the foreground, its stream taken up by nobody, its loss asked about."""
    held = {row["id"]: row for row in evidence.attempts if row["lane"] == "interactive"}
    runs = {row["provider_response_id"] for row in held.values()} - {None}
    for line in evidence.provider_log or ():
        metadata: dict[str, str] = line.get("metadata") or {}
        attempt = metadata.get("backlane_attempt", "")
        if line["call"] == "create" and attempt in held and line.get("background"):
            yield f"{attempt} is interactive and was bought in the background"
        if line["call"] == "stream" and line.get("response_id") in runs:
            yield f"the stream of {line['response_id']} was taken up by somebody"
    later: dict[str, list[Row]] = {}
    for row in evidence.attempts:
        later.setdefault(row["job_id"], []).append(row)
    for row in held.values():
        if row["code"] != "stream_lost":
            continue
        if row["state"] != "unknown":
            yield f"{row['id']} was lost with its stream and is {row['state']}"
        after = [one["reason"] for one in later[row["job_id"]] if one["number"] == row["number"] + 1]
        if after and after[0] not in ("person", "rebuy"):
            yield f"{row['id']} was lost with its stream and followed by {after[0]}"


def words_are_taken_up(evidence: Evidence) -> Finding:
    """M2: what a person said is in exactly the first turn that was sent after it, or its job ended before one was."""
    attempts, jobs = ({row["id"]: row for row in rows} for rows in (evidence.attempts, evidence.jobs))
    turns = {row["attempt_id"]: row for row in evidence.turns}
    for message in evidence.messages:
        name, taker = message["id"], attempts.get(message["attempt_id"])
        if message["job_id"] not in jobs:
            yield f"{name} was said to {message['job_id']}, which is not there"
            continue
        sent = _sent_after(evidence, message)
        if message["attempt_id"] is None:
            if sent:
                yield f"{name} was said before {sent[0]['id']} was sent, and taken up by nothing"
            continue
        if taker is None or taker["job_id"] != message["job_id"]:
            yield f"{name} was taken up by {message['attempt_id']}, which is no attempt of its job"
            continue
        if any(one["number"] < taker["number"] for one in sent):
            yield f"{name} was passed over by {sent[0]['id']}"
        turn = turns.get(taker["id"])
        count = _words(turn).count(message["text"])
        # A turn that was stopped is said again by the next, with what was said the same way before.
        said = [
            attempts[one["attempt_id"]]["number"]
            for one in evidence.messages
            if (one["job_id"], one["text"]) == (message["job_id"], message["text"])
            and one["attempt_id"] in attempts
        ]
        now, before = said.count(taker["number"]), sum(number < taker["number"] for number in said)
        # A reviewer's note is in a person's voice too, and may say the same.
        noted = turn is not None and turn["kind"] == "changes"
        # What a continued job's predecessor was told in vain comes first, and may say the same.
        former = jobs[message["job_id"]]["continues"]
        inherited = sum(
            (one["job_id"], one["text"], one["attempt_id"]) == (former, message["text"], None)
            for one in evidence.messages
        )
        if not now <= count <= now + before + noted + inherited:
            yield f"{name} is {count} times in the turn {taker['id']}"
    yield from _heard(evidence)


def _sent_after(evidence: Evidence, message: Row) -> list[Row]:
    """The attempts that were sent after it, by the order of the job's events: clocks may be set."""
    mine = [event for event in evidence.events if event["job_id"] == message["job_id"]]
    heard = [
        event["seq"]
        for event in mine
        if event["type"] == "job.messaged" and data_of(event).get("message") == message["id"]
    ]
    sent = {data_of(event).get("attempt"): event["seq"] for event in mine if event["type"] == "attempt.sent"}
    found = [
        one
        for one in evidence.attempts
        if one["job_id"] == message["job_id"] and heard and sent.get(one["id"], 0) > heard[0]
    ]
    return sorted(found, key=lambda one: one["number"])


def _words(turn: Row | None) -> list[str]:
    """What a turn says in a person's name."""
    items: list[dict[str, Any]] = [] if turn is None else json.loads(turn["items"])
    return [str(item["content"]) for item in items if item.get("role") == "user"]


def _heard(evidence: Evidence) -> Finding:
    """Every message has its event."""
    told = [
        (event["job_id"], data_of(event).get("message"))
        for event in evidence.events
        if event["type"] == "job.messaged"
    ]
    for message in evidence.messages:
        if told.count((message["job_id"], message["id"])) != 1:
            yield f"{message['id']} is told of {told.count((message['job_id'], message['id']))} times"


def continued_jobs_ended(evidence: Evidence) -> Finding:
    """M3: a job continues one like it that has ended, goes on from a run of it, and is gated like it."""
    jobs = {row["id"]: row for row in evidence.jobs}
    turns = {row["attempt_id"]: row for row in evidence.turns}
    runs: dict[str, set[str]] = {}
    for row in evidence.attempts:
        runs.setdefault(row["job_id"], set()).add(row["provider_response_id"])
    for job in evidence.jobs:
        if job["continues"] is None:
            continue
        old = jobs.get(job["continues"])
        if old is None or (old["workspace"], old["type"]) != (job["workspace"], job["type"]):
            yield f"{job['id']} continues {job['continues']}, which is no job like it"
            continue
        if old["status"] not in _TERMINAL:
            yield f"{job['id']} continues {old['id']}, which is {old['status']}"
        if old["gate"] != "none" and job["gate"] == "none":
            yield f"{job['id']} is not gated and continues {old['id']}, which is"
        first = [one for one in evidence.attempts if one["job_id"] == job["id"] and one["number"] == 1]
        known = turns.get(first[0]["id"], {}).get("previous_response_id") if first else None
        if known is not None and known not in runs.get(old["id"], set()):
            yield f"{job['id']} goes on from {known}, which is no run of {old['id']}"


def unfinished_stays_named(evidence: Evidence) -> Finding:
    """M4: who goes on from an unfinished answer follows its job, is gated like it, and names it without its text."""
    jobs = {row["id"]: row for row in evidence.jobs}
    kept = {row["id"]: row for row in evidence.artifacts if row["kind"] == "partial"}
    for turn in evidence.turns:
        for item in [*json.loads(turn["prior"]), *json.loads(turn["items"])]:
            if item.get("type") != _UNFINISHED:
                continue
            source = kept.get(item["artifact"])
            if source is None or source["sent_back"]:
                yield f"{turn['attempt_id']} goes on from {item['artifact']}, which is no answer that is kept"
                continue
            if set(item) != {"type", "artifact"}:
                yield f"{turn['attempt_id']} holds more of {source['id']} than its name"
            former = _followed(jobs, turn["job_id"])
            if source["job_id"] not in former:
                yield f"{turn['job_id']} goes on from {source['id']} of {source['job_id']}, which it does not follow"
            elif jobs[source["job_id"]]["gate"] != "none" and jobs[turn["job_id"]]["gate"] == "none":
                yield f"{turn['job_id']} is not gated and goes on from {source['id']}, whose job is"


def _followed(jobs: dict[str, Row], job_id: str) -> set[str]:
    """Every job that this one stands for or goes on from, however far back."""
    found: set[str] = set()
    waiting = [job_id]
    while waiting:
        job = jobs.get(waiting.pop(), {})
        for name in ("retry_of", "continues"):
            former: str | None = job.get(name)
            if former is not None and former not in found:
                found.add(former)
                waiting.append(former)
    return found


STEER_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "M1": held_runs_stay_held,
    "M2": words_are_taken_up,
    "M3": continued_jobs_ended,
    "M4": unfinished_stays_named,
}

"""The invariants of turns, T1 to T3: every call is answered once, every turn names its former run, each is booked."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backlane.verify.evidence import Evidence, Row

Finding = Iterator[str]
# The kinds of items that answer a call, and the field that names it.
_ANSWERS = {"function_call_output": "call_id", "mcp_approval_response": "approval_request_id"}
_LATER = ("next_turn", "changes_requested")


def _answered(turn: Row) -> list[str]:
    """The calls that a turn's items answer."""
    items: list[dict[str, Any]] = json.loads(turn["items"])
    return [str(item[_ANSWERS[item["type"]]]) for item in items if item.get("type") in _ANSWERS]


def calls_answered_once(evidence: Evidence) -> Finding:
    """T1: every call of a run that was gone on from is answered to the model exactly once, and no other call is."""
    calls: dict[str, list[Row]] = {}
    for call in evidence.tool_calls:
        calls.setdefault(call["attempt_id"], []).append(call)
        if (call["state"] == "answered") != (call["output"] is not None):
            yield f"{call['id']} is {call['state']} and says {'nothing' if call['output'] is None else 'something'}"
    unsent = {row["id"] for row in evidence.attempts if row["sent_at"] is None}
    for turn in evidence.turns:
        if turn["kind"] not in ("tools", "changes"):
            continue
        made = calls.get(turn["previous_attempt"], [])
        told, asked = Counter(_answered(turn)), Counter(call["call_id"] for call in made)
        if told != asked:
            yield f"{turn['attempt_id']} answers {dict(told)}, {turn['previous_attempt']} asked {dict(asked)}"
        for call in made:
            # An approval that did not stand was taken back with its run: that call waits again.
            if call["state"] != "answered" and turn["attempt_id"] not in unsent:
                yield f"{call['id']} was not answered before {turn['attempt_id']}"
    events = Counter(
        (data.get("attempt"), data.get("number"))
        for data in (
            json.loads(event["data"] or "{}") for event in evidence.events if event["type"] == "tool.answered"
        )
        if data.get("kind") != "container_file"
    )
    for (attempt, number), count in events.items():
        if count > 1:
            yield f"call {number} of {attempt} was answered {count} times"


def turns_name_their_former(evidence: Evidence) -> Finding:
    """T2: every later turn has its row, which names an older run of the same job; a repeated one says the same."""
    attempts = {row["id"]: row for row in evidence.attempts}
    turns = {row["attempt_id"]: row for row in evidence.turns}
    for attempt in evidence.attempts:
        if attempt["reason"] in _LATER and attempt["id"] not in turns:
            yield f"{attempt['id']} ({attempt['reason']}) has no turn"
    for turn in evidence.turns:
        attempt, former = attempts.get(turn["attempt_id"]), attempts.get(turn["previous_attempt"])
        if attempt is not None and turn["kind"] == "message" and turn["previous_attempt"] is None:
            continue  # a person spoke before the job had an answer, or to the job that this one continues
        if attempt is None or former is None:
            yield f"turn {turn['attempt_id']} goes on from {turn['previous_attempt']}, which is not there"
            continue
        if former["job_id"] != attempt["job_id"] or former["number"] >= attempt["number"]:
            yield f"turn {attempt['id']} goes on from {former['id']}, which is no older run of its job"
        known = turn["previous_response_id"]
        if known is not None and known != former["provider_response_id"]:
            yield f"turn {attempt['id']} goes on from response {known}, {former['id']} is another"
    yield from _sent_as_written(evidence, turns)


def _sent_as_written(evidence: Evidence, turns: Mapping[str, Row]) -> Finding:
    """What the provider was asked to go on from is what the turn says."""
    for line in evidence.provider_log or ():
        metadata: dict[str, str] = line.get("metadata") or {}
        attempt = metadata.get("backlane_attempt", "")
        if line["call"] != "create" or attempt not in turns or "previous_response_id" not in line:
            continue
        said, sent = turns[attempt]["previous_response_id"], line["previous_response_id"]
        if said is not None and sent != said:
            yield f"{attempt} was sent to go on from {sent}, its turn says {said}"


def turns_are_booked(evidence: Evidence) -> Finding:
    """T3: a run that was gone on from has ended, and has a cost line of its own."""
    attempts = {row["id"]: row for row in evidence.attempts}
    booked = {row["attempt_id"] for row in evidence.cost_lines}
    for turn in evidence.turns:
        former = attempts.get(turn["previous_attempt"])
        if former is not None and former["state"] != "completed":
            yield f"{turn['attempt_id']} goes on from {former['id']}, which is {former['state']}"
        elif former is not None and former["id"] not in booked:
            yield f"{former['id']} was gone on from and has no cost line"


TOOL_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {
    "T1": calls_answered_once,
    "T2": turns_name_their_former,
    "T3": turns_are_booked,
}

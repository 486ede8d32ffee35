"""What a later turn sends: answers to the run before it, by that run's id, or all that was said sent anew.

A turn's row is written with its attempt's intent; an attempt that only repeats one carries the same row.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from backlane.core.event import Event
from backlane.core.job import STEERED, Attempt, AttemptReason, AttemptState, Job
from backlane.core.storage import Row, Transaction
from backlane.service.intent import intent
from backlane.service.keep import answer_of
from backlane.service.ports import Ports
from backlane.service.settle_remote import APPROVED
from backlane.service.show import artifact_content
from backlane.service.situate import Held

Params = dict[str, Any]

# The provider's code for a run it no longer holds: nothing was bought, all must be said again.
FORGOTTEN = "previous_response_not_found"
# Our own kind of item: an unfinished answer, by its artifact's id. Its text is read as it is sent, and copied nowhere.
UNFINISHED = "backlane_unfinished"
_LABEL = (
    "The message before this one is an earlier answer to the same request that ended before it was finished, "
    "and that nobody has checked. Use what is right in it, and give the whole answer."
)


def turns_taken(attempts: tuple[Attempt, ...], spoken_to: Collection[str] = ()) -> int:
    """How many turns a job has had, the first included; attempts that repeat one do not count.

    A reviewer who asks for changes starts the count anew, and so do the words of a person that the attempts in
    `spoken_to` went out with (see `heard`).
    """
    taken = 1
    for attempt in attempts:
        taken += attempt.reason is AttemptReason.NEXT_TURN
        if attempt.reason is AttemptReason.CHANGES_REQUESTED or attempt.id in spoken_to:
            taken = 1
    return taken


def heard(turns: Mapping[str, Row]) -> set[str]:
    """The attempts that went out for a person's words, not for the answers to calls."""
    return {attempt for attempt, turn in turns.items() if turn["kind"] == "message"}


def keep_turn(tx: Transaction, former: Attempt | None, attempt: Attempt, now: int) -> None:
    """Write what the new attempt sends beyond its job's request: the next turn, or the same one again.

    Whatever people have said meanwhile is taken up by it.
    """
    turn = _turn(tx, former, attempt, now)
    words = tx.waiting_messages(attempt.job_id)
    if words:
        turn = turn or _empty(attempt, now)
        turn["items"] = _joined(turn["items"], words_of(words))
        tx.take_messages(attempt.job_id, attempt.id)
    if turn is not None:
        tx.insert_turn(turn)


def _turn(tx: Transaction, former: Attempt | None, attempt: Attempt, now: int) -> Row | None:
    if former is None:
        return None
    stopped = former.state is AttemptState.CANCELED and former.code == STEERED
    if attempt.reason is AttemptReason.NEXT_TURN and not stopped:
        turn = _next(tx, former, attempt, now)
        tx.drop_answer(former.id)
        return turn
    same = tx.turn(former.id)
    known = None if same is None or former.code == FORGOTTEN else same["previous_response_id"]
    again = same and {**same, "attempt_id": attempt.id, "previous_response_id": known, "created_at": now}
    return _stopped(tx, again or _empty(attempt, now)) if stopped else again


def changes_turn(
    tx: Transaction,
    former: Attempt,
    attempt: Attempt,
    now: int,
    *,
    note: str,
    draft: str | None,
    edited: bool,
) -> None:
    """Write the turn that carries a reviewer's note, in a person's voice, after the answers to the run's calls.

    `draft` is what was shown, for sending anew where the provider does not hold the run, or holds another
    version than was shown (`edited`).
    """
    turn = _next(tx, former, attempt, now)
    tx.drop_answer(former.id)
    if draft is not None and not json.loads(turn["items"]):
        turn["prior"] = json.dumps([spoken("assistant", draft)], ensure_ascii=False)
    if edited:
        turn["previous_response_id"] = None
    words = tx.waiting_messages(attempt.job_id)
    turn["items"] = _joined(turn["items"], [spoken("user", note), *words_of(words)])
    tx.take_messages(attempt.job_id, attempt.id)
    tx.insert_turn({**turn, "kind": "changes"})


def _empty(attempt: Attempt, now: int) -> Row:
    """A turn that goes on from nothing but the job's own request."""
    return {
        "attempt_id": attempt.id,
        "job_id": attempt.job_id,
        "kind": "message",
        "previous_attempt": None,
        "previous_response_id": None,
        "prior": "[]",
        "items": "[]",
        "created_at": now,
    }


def _stopped(tx: Transaction, turn: Row) -> Row:
    """The turn that was stopped, with what had been written: the provider does not go on from such a run."""
    written = tx.streamed(turn["job_id"])
    items = _joined(turn["items"], [spoken("assistant", written)] if written else [])
    return {**turn, "kind": "message", "items": items}


def _joined(items: str, more: list[Params]) -> str:
    return json.dumps([*json.loads(items), *more], ensure_ascii=False)


def spoken(role: str, text: str) -> Params:
    """What the model or a person said, as an input item (openai 3.54, types/responses/easy_input_message.py)."""
    return {"type": "message", "role": role, "content": text}


def words_of(rows: Sequence[Row]) -> list[Params]:
    """What people said, as input items."""
    return [spoken("user", row["text"]) for row in rows]


def _next(tx: Transaction, former: Attempt, attempt: Attempt, now: int) -> Row:
    unsent = tx.turn(former.id) if former.state is AttemptState.NOT_SENT else None
    if unsent is not None and unsent["previous_attempt"] is not None:
        return _instead(tx, unsent, attempt, now)
    body = tx.kept_answer(former.id)
    answer = None if body is None else answer_of(body)
    prior = [] if answer is None else list(answer.items)
    if answer is not None and answer.text and not prior:
        prior = [spoken("assistant", answer.text)]
    items = [_item(call) for call in tx.tool_calls(former.id)]
    return {
        "attempt_id": attempt.id,
        "job_id": attempt.job_id,
        "kind": "tools" if items else "message",
        "previous_attempt": former.id,
        "previous_response_id": former.provider_response_id,
        "prior": json.dumps(prior, ensure_ascii=False),
        "items": json.dumps(items, ensure_ascii=False),
        "created_at": now,
    }


def _instead(tx: Transaction, unsent: Row, attempt: Attempt, now: int) -> Row:
    """The turn in place of one that was never sent: it answers the same calls, as they are answered now."""
    answers = [_item(call) for call in tx.tool_calls(unsent["previous_attempt"])]
    words = [one for one in json.loads(unsent["items"]) if one.get("type") == "message"]
    items = json.dumps([*answers, *words], ensure_ascii=False)
    return {**unsent, "attempt_id": attempt.id, "items": items, "created_at": now}


def _item(call: Row) -> Params:
    """One answer as the provider takes it (openai 3.54, types/responses/response_input_item.py)."""
    if call["kind"] == "mcp_approval":
        said = {"type": "mcp_approval_response", "approval_request_id": call["call_id"]}
        if call["code"] is None and call["output"] == APPROVED:
            return {**said, "approve": True}
        return {**said, "approve": False, "reason": call["output"] or "It was done before."}
    return {"type": "function_call_output", "call_id": call["call_id"], "output": call["output"]}


async def turned(ports: Ports, held: Held, attempt: Attempt, params: Params) -> Params:
    """The create's parameters for the turn that this attempt is; a first turn's as they are."""
    turns = await ports.store.read(lambda tx: tx.turns_of(held.job.id))
    mine = turns.get(attempt.id)
    if mine is None:
        return params
    if mine["previous_response_id"] is not None:
        later = {**_unforced(params), "previous_response_id": mine["previous_response_id"]}
        return {**later, "input": await _spelled_out(ports, json.loads(mine["items"]))}
    said = said_so_far(turns, mine)
    # Who is only given an unfinished answer has its first turn before it, and calls what it must.
    later = params if all(item.get("type") == UNFINISHED for item in said) else _unforced(params)
    return {**later, "input": [*_as_items(params.get("input")), *await _spelled_out(ports, said)]}


async def _spelled_out(ports: Ports, items: Sequence[Params]) -> list[Params]:
    """Input items with the text of unfinished answers in them, said to be that. Raises StoreError."""
    found: list[Params] = []
    for item in items:
        if item.get("type") != UNFINISHED:
            found.append(item)
            continue
        text = (await artifact_content(ports, item["artifact"])).decode(errors="replace")
        found += [spoken("assistant", text), spoken("developer", _LABEL)]
    return found


def first_turn(ports: Ports, job: Job, now: int, said: Row) -> tuple[Attempt, Row, Event]:
    """The planned first attempt of a job that goes on from another's words, its turn, and the event of both.

    `said` holds the turn's `previous_response_id`, `prior` and `items`.
    """
    attempt = intent(ports, job, 1, AttemptReason.FIRST, now)
    kept = {name: said[name] for name in ("previous_response_id", "prior", "items")}
    data = {"attempt": attempt.id, "number": 1, "reason": attempt.reason, "lane": job.lane}
    return attempt, {**_empty(attempt, now), **kept}, Event("attempt.planned", now, "backlane", data)


def said_so_far(turns: Mapping[str, Row], mine: Row | None) -> list[Any]:
    """Everything that was said since the job's own request up to this turn, oldest first."""
    said: list[Any] = []
    step = mine
    while step is not None:
        said = [*json.loads(step["prior"]), *json.loads(step["items"]), *said]
        step = turns.get(step["previous_attempt"] or "")
    return said


def _as_items(given: Any) -> list[Any]:
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return list(cast(list[Any], given)) if isinstance(given, list) else []


def _unforced(params: Params) -> Params:
    """A tool that had to be called was called: a later turn may answer."""
    later, forced = dict(params), cast(Any, params.get("tool_choice"))
    if isinstance(forced, Mapping) and "mode" in forced:
        later["tool_choice"] = {**cast(Params, forced), "mode": "auto"}
    elif isinstance(forced, Mapping) or forced == "required":
        del later["tool_choice"]
    return later


async def forgotten(ports: Ports, attempt: Attempt, code: str) -> bool:
    """Whether the provider refused this attempt only because it lost the run that it goes on from."""
    if code != FORGOTTEN:
        return False
    turn = await ports.store.read(lambda tx: tx.turn(attempt.id))
    return turn is not None and turn["previous_response_id"] is not None

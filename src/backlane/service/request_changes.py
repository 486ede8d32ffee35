"""Sending a draft or a proposed action back: the reviewer's note is the model's next turn, and nothing is released.

The note goes out as a person's words. It approves nothing, and what was shown is never used.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from backlane.core import lifecycle
from backlane.core.action import SENT_BACK, Action, ActionState, Origin
from backlane.core.event import Event
from backlane.core.job import AttemptReason, Job, Phase, newest_of
from backlane.core.lifecycle import Command
from backlane.core.review import Decision
from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller
from backlane.service.intent import intent
from backlane.service.live_text import voided
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.show import artifact_content
from backlane.service.situate import over_budget
from backlane.service.take_turns import changes_turn

_SAID = "A person did not let this happen and asks for changes."
_DRAFTS = ("result", "partial")


@dataclass(frozen=True, slots=True)
class Changes:
    """What the model is told: the reviewer's note, and the draft it is about, as it was shown."""

    note: str
    draft: str | None


async def read_changes(ports: Ports, review: Row, note: str) -> Changes:
    """The note with the text of the draft that this review shows; an action's proposal has none."""
    payload = cast(dict[str, Any], json.loads(review["payload"]))
    ids = [one["id"] for one in cast(list[dict[str, str]], payload.get("artifacts", []))]
    rows = await ports.store.read(lambda tx: tx.artifacts(review["job_id"]))
    if review["kind"] != Phase.ACTION:
        rows = [row for row in rows if row["id"] in ids]
    for kind in _DRAFTS:
        found = [row["id"] for row in rows if row["kind"] == kind]
        if found:
            return Changes(note, (await artifact_content(ports, found[-1])).decode(errors="replace"))
    return Changes(note, None)


def send_back(
    tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, changes: Changes
) -> tuple[Job, Sequence[Event]]:
    """The job in line again, with a new attempt that carries the note. Raises NotAllowed if its money is spent."""
    attempts = tuple(tx.attempts(job.id))
    former = newest_of(attempts)
    assert former is not None, job.id
    if over_budget(tx, job, attempts):
        raise refusal(tx, ports, caller, job, Decision.REQUEST_CHANGES, "at its max_cost")
    now = ports.clock.now()
    told = _withdraw(tx, job, review, now)
    tx.send_back_artifacts(job.id)
    attempt = intent(ports, job, len(attempts) + 1, AttemptReason.CHANGES_REQUESTED, now)
    tx.insert_attempt(attempt)
    changes_turn(tx, former, attempt, now, note=changes.note, draft=changes.draft, edited=_edited(review))
    data = {"attempt": attempt.id, "number": attempt.number, "reason": attempt.reason, "lane": job.lane}
    told.append(Event("attempt.planned", now, "backlane", data))
    told += voided(tx, job, attempt.id, now)
    why = {"reason": SENT_BACK, "review": review["id"]}
    after, event = lifecycle.apply(
        job, Command.REQUEST_CHANGES, now, phase=Phase.READY, actor=caller.name, data=why
    )
    after = replace(after, review_state=SENT_BACK, due_at=now, wait_until=None, tries=0)
    return after, [event, *told]


def _edited(review: Row) -> bool:
    """Whether the draft is not the run's own any more: then the provider must be told it anew."""
    return review["version"] > 1 and review["kind"] != Phase.ACTION


def _withdraw(tx: Transaction, job: Job, review: Row, now: int) -> list[Event]:
    """No action of this proposal happens: the one that was shown, and those that would have followed it."""
    told: list[Event] = []
    for action in tx.actions(job.id):
        shown = action.review_id == review["id"]
        state = ActionState.REJECTED if shown else ActionState.UNDONE
        ended = {"state": state, "finished_at": now, "code": SENT_BACK}
        if not tx.move_action(action.id, [ActionState.PROPOSED], **ended):
            continue
        _answer(tx, action, now)
        if not shown:
            data = {"action": action.id, "number": action.number, "code": SENT_BACK}
            told.append(Event("action.undone", now, "backlane", data))
    return told


def _answer(tx: Transaction, action: Action, now: int) -> None:
    """The model's call is answered: it waits for no approval any more."""
    if action.call_row is None:
        return
    said = {"action": action.type, "done": False, "error": _SAID}
    output = _SAID if action.origin is Origin.MCP else json.dumps(said, ensure_ascii=False)
    tx.answer_tool_call(action.call_row, code=SENT_BACK, output=output, now=now)

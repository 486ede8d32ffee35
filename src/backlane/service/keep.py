"""Keeping a run's end as it came, on its own attempt, whoever holds the job; its cost is booked once."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState
from backlane.core.outcome import Answer, Approval, Citation, CitedFile, Container, Stored, ToolCall
from backlane.core.storage import Transaction
from backlane.service.cost import book_cost
from backlane.service.incident import LOOK, release_lane
from backlane.service.learn import learn
from backlane.service.ports import Ports
from backlane.service.settle_remote import settle_remote
from backlane.service.situate import Held

STATE_OF = {
    "completed": AttemptState.COMPLETED,
    "failed": AttemptState.FAILED,
    "incomplete": AttemptState.INCOMPLETE,
    "canceled": AttemptState.CANCELED,
}


def keep_end(tx: Transaction, ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Sequence[Event]:
    """The end of a run on its own attempt: state, usage and, once, its cost."""
    now = ports.clock.now()
    state = STATE_OF[answer.status]
    told: list[Event] = []
    if tx.keep_response_id(attempt.id, answer.response_id):
        data = {"attempt": attempt.id, "provider_response_id": answer.response_id}
        told.append(Event("attempt.adopted", now, "provider", data))
    moved = tx.move_attempt(
        attempt.id,
        [AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.ACCEPTED],
        state=state,
        finished_at=now,
        looked_at=now,
        look_at=now + ports.timings.late_look if state is AttemptState.CANCELED else None,
        provider_status=answer.status,
        code=answer.code or (attempt.code if attempt.stray else None),
        usage=answer.usage,
    )
    if not moved:
        return told
    release_lane(tx, ports, (attempt.provider_account, attempt.lane), by=LOOK)
    # Whoever decides next must find the answer, even if this worker no longer may.
    tx.keep_answer(attempt.id, held.job.id, body_of(answer))
    data: dict[str, Any] = {
        "attempt": attempt.id,
        "number": attempt.number,
        "state": state,
        "usage": answer.usage,
    }
    if answer.code:
        data["code"] = answer.code
    told.append(Event("attempt.finished", now, "provider", data))
    told += settle_remote(tx, ports, attempt, answer)
    if state is not AttemptState.CANCELED or answer.usage is not None:
        # What a canceled run cost is often told later, if at all.
        told += book_cost(tx, ports, held.job, attempt, answer)
    if state is AttemptState.COMPLETED:
        learn(tx, held.job, attempt, now)
    return told


def body_of(answer: Answer) -> str:
    """An answer as it is kept."""
    return json.dumps(asdict(answer), ensure_ascii=False)


def answer_of(body: str) -> Answer:
    """A kept answer, read back."""
    values = json.loads(body)
    parts: dict[str, Any] = {
        "citations": Citation,
        "calls": ToolCall,
        "approvals": Approval,
        "files": CitedFile,
        "containers": Container,
    }
    for name, kind in parts.items():
        values[name] = tuple(kind(**one) for one in values.get(name, ()))
    for name in ("hosted", "items", "unpriced"):
        values[name] = tuple(values.get(name, ()))
    raw = values.get("raw")
    values["raw"] = raw and Stored(**raw)
    return Answer(**values)

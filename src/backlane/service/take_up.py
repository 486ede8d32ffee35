"""Taking up what an ended job kept of its answer: the job in its place names it, and holds no copy of its text."""

import json
from typing import Any, cast

from backlane.core.job import Job
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest
from backlane.service.take_turns import UNFINISHED

_Items = list[dict[str, Any]]
_NOTHING_SAID = {"previous_response_id": None, "prior": "[]", "items": "[]"}


def kept_by(tx: Transaction, old: Job) -> str:
    """The artifact of the unfinished answer that a job kept, or went on from itself. Raises InvalidRequest."""
    # What a reviewer sent back is never used again.
    mine = [row for row in tx.artifacts(old.id) if row["kind"] == "partial" and not row["sent_back"]]
    if mine:
        return str(mine[-1]["id"])
    said = _first_turn(tx, old)
    given = [] if said is None else [item for item in _items(said) if item.get("type") == UNFINISHED]
    if not given:
        raise InvalidRequest([("/from", "this job kept no unfinished answer; retry it from start")])
    return str(given[-1]["artifact"])


def said_first(tx: Transaction, old: Job, kept: str | None, *, same_inputs: bool) -> Row | None:
    """What the first turn says in place of this job; None where its inputs are all.

    One in place of a continuation goes on from the same words. `kept` is the artifact it is to go on from.

    No failed or incomplete run is ever named as the one before: the provider promises nothing about such a run.
    """
    said = _first_turn(tx, old) if old.continues is not None else None
    if said is None and kept is None:
        return None
    said = dict(said or _NOTHING_SAID)
    if not same_inputs:
        # The run it went on from knows the old inputs: all is said anew.
        said["previous_response_id"] = None
    items = [item for item in _items(said) if item.get("type") != UNFINISHED]
    if kept is not None:
        items.append({"type": UNFINISHED, "artifact": kept})
    return {**said, "items": json.dumps(items, ensure_ascii=False)}


def _first_turn(tx: Transaction, job: Job) -> Row | None:
    attempts = tx.attempts(job.id)
    return tx.turn(attempts[0].id) if attempts else None


def _items(said: Row) -> _Items:
    return cast(_Items, json.loads(said["items"]))

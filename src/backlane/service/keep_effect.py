"""What became of an action, kept on its ledger row whoever holds the job; told to the model where it waits for it."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, cast

from backlane.core.action import IN_DOUBT, Action, ActionState, Origin
from backlane.core.event import Event
from backlane.core.lifecycle import TERMINAL
from backlane.core.storage import Transaction
from backlane.service.approve_action import POLICY
from backlane.service.outputs import Output, add_outputs
from backlane.service.ports import Ports

# A receipt is kept up to this size; a longer one is cut and says so.
_RECEIPT_AT_MOST = 65_536
_FIELD_AT_MOST = 2_000


def receipt_text(receipt: Any) -> str:
    """A receipt as it is kept."""
    whole = json.dumps(receipt, ensure_ascii=False)
    if len(whole.encode("utf-8", "replace")) <= _RECEIPT_AT_MOST:
        return whole
    return json.dumps({"truncated": True, "text": whole[: _RECEIPT_AT_MOST // 4]}, ensure_ascii=False)


def succeeded(
    tx: Transaction, ports: Ports, action: Action, receipt: Any, *, by: str, actor: str = "backlane"
) -> list[Event]:
    """It took effect: `by` says who knows (receipt, lookup, provider or person). The first word settles it."""
    now = ports.clock.now()
    if receipt is not None:
        tx.keep_receipt(action.id, receipt_text(receipt))
    data = {"action": action.id, "number": action.number, "kind": by}
    settled = {"state": ActionState.SUCCEEDED, "finished_at": now, "settled_by": by, "code": None}
    if not tx.move_action(action.id, sorted(IN_DOUBT), **settled):
        return _contradicted(tx, action, "action.succeeded", data, now, actor)
    told = [Event("action.succeeded", now, actor, data)]
    job = tx.job(action.job_id, lock=True)
    assert job is not None
    _answer(tx, action, {"done": True, "receipt": receipt}, None, now)
    record = _record(action, receipt)
    if record is not None and job.status not in TERMINAL:
        told += add_outputs(tx, ports, job, [record], attempt_id=action.attempt_id, now=now)
    return told


def did_not_happen(
    tx: Transaction, ports: Ports, action: Action, code: str, *, by: str, actor: str = "backlane"
) -> list[Event]:
    """It surely did not take effect. Nothing carries it out again without a new approval."""
    now = ports.clock.now()
    data = {"action": action.id, "number": action.number, "kind": by, "code": code}
    settled = {"state": ActionState.FAILED, "finished_at": now, "settled_by": by, "code": code}
    if not tx.move_action(action.id, sorted(IN_DOUBT), **settled):
        return _contradicted(tx, action, "action.failed", data, now, actor)
    _answer(tx, action, {"done": False}, code, now)
    return [Event("action.failed", now, actor, data)]


def unknown(tx: Transaction, ports: Ports, action: Action, code: str) -> list[Event]:
    """Nobody knows whether it took effect, and nothing carries it out again to find out."""
    now = ports.clock.now()
    lost = {"state": ActionState.UNKNOWN, "unknown_at": now, "look_at": now, "code": code}
    if not tx.move_action(action.id, [ActionState.DISPATCHING], **lost):
        return []
    data = {"action": action.id, "number": action.number, "code": code}
    return [Event("action.unknown", now, "backlane", data)]


def _contradicted(
    tx: Transaction, action: Action, kind: str, data: Mapping[str, Any], now: int, actor: str
) -> list[Event]:
    """What comes after a person's word changes nothing any more, and is told all the same."""
    row = tx.action(action.id)
    same = row is not None and str(row.state) == kind.partition(".")[2]
    return [] if same else [Event(kind, now, actor, {**data, "code": "contradicted"})]


def _answer(tx: Transaction, action: Action, said: Mapping[str, Any], code: str | None, now: int) -> None:
    """What the model is told of it. A remote call was let go before, and its own run tells of it."""
    if action.call_row is not None and action.origin is not Origin.MCP:
        by = "a policy" if action.approved_by == POLICY else "a person"
        body = {"action": action.type, "approved_by": by, **said}
        output = json.dumps(body, ensure_ascii=False)
        tx.answer_tool_call(action.call_row, code=code, output=output, now=now)


def _record(action: Action, receipt: Any) -> Output | None:
    """A pointer to what was made, where the receipt says it: {system, type, id, url}."""
    if not isinstance(receipt, Mapping):
        return None
    given = cast(Mapping[str, Any], receipt)
    pointer: dict[str, str | None] = {}
    for name in ("system", "type", "id"):
        if not isinstance(given.get(name), str | int):
            return None
        pointer[name] = str(given[name])[:_FIELD_AT_MOST]
    url = given.get("url")
    safe = isinstance(url, str) and url.lower().startswith(("https://", "http://"))
    pointer["url"] = str(url)[:_FIELD_AT_MOST] if safe else None
    body = json.dumps(pointer, ensure_ascii=False, indent=2).encode("utf-8", "replace")
    name = f"record-{action.number}.json"
    digest = hashlib.sha256(body).hexdigest()
    return Output("record", name, "application/json", len(body), digest, body)

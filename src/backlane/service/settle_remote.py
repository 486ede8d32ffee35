"""Calls of remote (MCP) tools that were approved: they travel with the next run, which tells what became of them.

The provider makes the call, not we; what its run does not show is unknown, and is never let go again.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

from backlane.core.action import Action, Unbound, carried
from backlane.core.address import holds_address
from backlane.core.authority import MAY_ACT
from backlane.core.event import Event
from backlane.core.job import Attempt
from backlane.core.outcome import Answer
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.service.keep_effect import succeeded, unknown
from backlane.service.ports import Ports
from backlane.service.propose import Proposal, remote_proposal
from backlane.service.seal import seal

# What a server is known by; secrets in headers are no part of what is shown.
_IDENTITY = ("server_label", "server_url", "connector_id")
# A remote call has no time-out of ours: its run has the provider's.
_TIMEOUT = 30_000
APPROVED = "approved"


def may_act(kind: JobType) -> bool:
    """Whether jobs of this type may act at all."""
    return kind.authority in MAY_ACT


def propose_remote(kind: JobType, inputs: Any, row: Row) -> Proposal:
    """A remote call that asks for approval, as an action. Raises ValueError (Unbound too) saying what is wrong."""
    server, _, name = row["name"].partition("/")
    content = remote_content(kind, inputs, server)
    found = remote_proposal(name, server, row["arguments"], timeout=_TIMEOUT, content=content)
    if not kind.unbound_remote and holds_address(json.loads(found.arguments)):
        raise Unbound("they hold an address, and nothing binds what it shows")
    return found


def remote_content(kind: JobType, inputs: Any, server: str) -> str:
    """A digest of where the server of this name is. Raises ValueError if the request names no such server."""
    try:
        tools = cast(list[Mapping[str, Any]], kind.build(inputs).get("tools") or [])
    except MemoryError:
        raise  # the worker's trouble, not the request's
    except Exception as error:
        raise ValueError("the request of this job cannot be built any more") from error
    for tool in tools:
        if tool.get("type") == "mcp" and tool.get("server_label") == server:
            return seal({name: tool.get(name) for name in _IDENTITY}).hash
    raise ValueError(f"there is no server called {server[:100]!r}")


def settle_remote(tx: Transaction, ports: Ports, attempt: Attempt, answer: Answer | None) -> list[Event]:
    """What a run that ended tells of the calls it carried; a call it does not show is unknown."""
    told: list[Event] = []
    for action in carried_by(tx, attempt):
        call = None if answer is None else _call_of(tx, action, answer)
        if call is None:
            told += unknown(tx, ports, action, "not_seen")
        elif call.get("error") is not None or call.get("status") not in (None, "completed"):
            told += unknown(tx, ports, action, "remote_error")
        else:
            receipt = {"output": call.get("output")}
            told += succeeded(tx, ports, action, receipt, by="provider", actor="provider")
    return told


def carried_by(tx: Transaction, attempt: Attempt) -> list[Action]:
    """The approved remote calls that travel with this attempt."""
    waiting = carried(tx.actions(attempt.job_id))
    turn = tx.turn(attempt.id) if waiting else None
    return [] if turn is None else [one for one in waiting if one.attempt_id == turn["previous_attempt"]]


def _call_of(tx: Transaction, action: Action, answer: Answer) -> Mapping[str, Any] | None:
    asked = {row["id"]: row["call_id"] for row in tx.tool_calls(action.attempt_id)}
    for item in answer.hosted:
        mine = item.get("approval_request_id") == asked.get(action.call_row or "")
        if item.get("type") == "mcp_call" and mine:
            return item
    return None


def let_go(tx: Transaction, action: Action, now: int) -> None:
    """Let the next run carry the approval of this call."""
    assert action.call_row is not None
    tx.answer_tool_call(action.call_row, code=None, output=APPROVED, now=now)


def lose_carried(tx: Transaction, ports: Ports, job_id: str) -> list[Event]:
    """Nobody will learn from a run what became of the calls it carried."""
    told: list[Event] = []
    for action in carried(tx.actions(job_id)):
        told += unknown(tx, ports, action, "submission_unknown")
    return told

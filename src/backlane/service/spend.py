"""Whether a run has spent approvals: bought again, what it carries would be done again."""

import json

from backlane.core.action import Action, Origin
from backlane.core.job import Attempt
from backlane.core.storage import Transaction


def is_spent(tx: Transaction, attempt: Attempt, actions: tuple[Action, ...]) -> bool:
    """Whether this attempt carries approvals of remote calls: bought again, they would be made again."""
    if not any(one.origin is Origin.MCP and one.dispatched_at is not None for one in actions):
        return False
    turn = tx.turn(attempt.id)
    return turn is not None and any(
        item.get("type") == "mcp_approval_response" and item.get("approve") is True
        for item in json.loads(turn["items"])
    )

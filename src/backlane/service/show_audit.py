"""The audit log of a workspace as its admins read it: every line, in order, with the chain that anybody can check."""

import json
from collections.abc import Mapping
from typing import Any

from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller
from backlane.service.describe import moment
from backlane.service.ports import Ports
from backlane.service.read import read_cursor, write_cursor
from backlane.service.witness import witness


def audit_view(row: Row) -> dict[str, Any]:
    """One line. `chain` is the sha256 over the former line's chain and this line (docs/supporting.md)."""
    return {
        "id": row["id"],
        "object": "audit",
        "seq": row["seq"],
        "at": moment(row["at"]),
        "actor": row["actor"],
        "action": row["action"],
        "subject": row["subject"],
        "data": json.loads(row["data"]),
        "chain": row["chain"],
    }


async def list_audit(
    ports: Ports,
    caller: Caller,
    filters: Mapping[str, str],
    cursor: str | None,
    limit: int,
    *,
    secret: bytes,
    exported: bool,
) -> dict[str, Any]:
    """A page of the log, oldest first. Reading it, or taking it away, is a line of it."""
    after = int(read_cursor(secret, caller, "audit", cursor)[0]) if cursor is not None else 0
    if cursor is None:
        action = "audit.exported" if exported else "audit.read"
        await ports.store.write(
            lambda tx: witness(tx, ports, caller, action, caller.workspace, filters=dict(filters))
        )

    def body(tx: Transaction) -> list[Row]:
        return tx.audit_lines(caller.workspace, filters, after=after, limit=limit + 1)

    rows = await ports.store.read(body)
    page = rows[:limit]
    following = None
    if len(rows) > limit:
        following = write_cursor(secret, caller, "audit", [page[-1]["seq"]])
    return {"data": [audit_view(row) for row in page], "next_cursor": following}

"""Pages of listed objects, as the provider's cursors cut them."""

from collections.abc import Mapping, Sequence
from typing import Any

from backlane.simulator.protocol import wrong


def page(rows: Sequence[dict[str, Any]], query: Mapping[str, str], most: int, usual: int) -> dict[str, Any]:
    """One page of rows given oldest first: newest first unless asked otherwise. Raises Refusal."""
    limit = query.get("limit", str(usual))
    if not limit.isdecimal() or not 1 <= int(limit) <= most:
        raise wrong("limit", f"Invalid 'limit': expected a value from 1 to {most}, but got {limit} instead.")
    ordered = list(rows) if query.get("order", "desc") == "asc" else list(reversed(rows))
    if "after" in query:
        ids = [row["id"] for row in ordered]
        if query["after"] not in ids:
            raise wrong("after", f"Object with id '{query['after']}' not found.")
        ordered = ordered[ids.index(query["after"]) + 1 :]
    shown = ordered[: int(limit)]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(ordered) > len(shown),
    }

"""Pages of the items a run was given, as the provider lists them. It reads the run's own request only."""

from collections.abc import Mapping
from typing import Any

from backlane.simulator.protocol import wrong
from backlane.simulator.runs import Run
from backlane.simulator.values import as_list, as_object

_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}


def page_of(run: Run, query: Mapping[str, str]) -> dict[str, Any]:
    """One page: newest first unless asked otherwise."""
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise wrong("limit", f"Invalid 'limit': expected a value from 1 to 100, but got {limit} instead.")
    rows = _rows(run)
    if query.get("order", "desc") == "desc":
        rows.reverse()
    if "after" in query:
        ids = [row["id"] for row in rows]
        if query["after"] not in ids:
            raise wrong("after", f"Item with id '{query['after']}' not found.")
        rows = rows[ids.index(query["after"]) + 1 :]
    page = rows[: int(limit)]
    return {
        "object": "list",
        "data": page,
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
        "has_more": len(rows) > len(page),
    }


def _rows(run: Run) -> list[dict[str, Any]]:
    given = run.body.get("input")
    items = [{"role": "user", "content": given}] if isinstance(given, str) else as_list(given)
    return [_row(as_object(item), run, number) for number, item in enumerate(items)]


def _row(item: dict[str, Any], run: Run, number: int) -> dict[str, Any]:
    kind = str(item.get("type", "message"))
    row = {
        "id": f"{_PREFIXES.get(kind, 'item')}_{run.id[5:25]}{number:04}",
        "type": kind,
        "status": "completed",
        **item,
    }
    if isinstance(item.get("content"), str):
        said = "output_text" if item.get("role") == "assistant" else "input_text"
        piece: dict[str, Any] = {"type": said, "text": item["content"]}
        row["content"] = [piece | ({"annotations": [], "logprobs": []} if said == "output_text" else {})]
    return row

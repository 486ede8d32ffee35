"""The provider's own tools in a run: which of them run, how many calls they may make, what a request gets to see."""

from collections.abc import Callable, Iterable
from typing import Any

from backlane.simulator.conversation import Item
from backlane.simulator.desk import Desk, Work
from backlane.simulator.interpreting import interpret
from backlane.simulator.mcp import call_servers
from backlane.simulator.searching import search_files, search_web
from backlane.simulator.values import as_list, as_object

# Each tool by its script key, with the words a request may name it by.
_TOOLS: tuple[tuple[str, tuple[str, ...], Callable[[Desk], Work]], ...] = (
    (
        "web_search",
        ("web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11"),
        search_web,
    ),
    ("file_search", ("file_search",), search_files),
    ("code_interpreter", ("code_interpreter",), interpret),
    ("mcp", ("mcp",), call_servers),
)
CALL_KINDS = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "mcp_call",
    "mcp_approval_request",
)
_INCLUDED = {
    "web_search_call": "web_search_call.action.sources",
    "file_search_call": "file_search_call.results",
    "code_interpreter_call": "code_interpreter_call.outputs",
}


def use_tools(desk: Desk) -> Work:
    """Everything the request's hosted tools do, within its `max_tool_calls`."""
    whole, most = Work(), desk.turn.body.get("max_tool_calls")
    left = most if isinstance(most, int) else 10_000
    for key, kinds, act in _TOOLS:
        if not _runs(key, kinds, desk):
            continue
        work = act(desk)
        calls = [item for item in work.items if item["type"] in CALL_KINDS]
        if calls and left == 0:
            continue
        for item in calls[left:]:
            work.items.remove(item)
        left -= min(left, len(calls))
        work.waits = any(item["type"] == "mcp_approval_request" for item in work.items)
        whole.add(work)
    return whole


def _runs(key: str, kinds: tuple[str, ...], desk: Desk) -> bool:
    scripted = desk.scripted(key)
    if scripted is not None and scripted is not True:
        return scripted is not False
    if not any(desk.turn.tools(kind) for kind in kinds):
        return scripted is True
    choice: Any = desk.turn.body.get("tool_choice")
    named = as_object(choice)
    if named.get("type") == "allowed_tools":
        return any(as_object(one).get("type") in kinds for one in as_list(named.get("tools")))
    return named["type"] in kinds if named.get("type") else choice != "none"


def shown_items(items: list[Item], hidden: dict[str, Item], include: Iterable[Any]) -> list[Item]:
    """The items with the fields that a request asks to include."""
    asked = set(include)
    if not hidden or not asked:
        return items
    return [
        item | hidden[item["id"]]
        if item.get("id") in hidden and _INCLUDED.get(str(item.get("type"))) in asked
        else item
        for item in items
    ]


def web_requests(items: Iterable[Item]) -> int:
    """How many searches of the web are billed."""
    return sum(
        item.get("type") == "web_search_call" and as_object(item.get("action")).get("type") == "search"
        for item in items
    )

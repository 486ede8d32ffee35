"""The conversation a create continues: what was said before it, and whether its own words fit. It holds no runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.protocol import Refusal, missing, wrong
from backlane.simulator.text import Source
from backlane.simulator.values import as_list, as_object

Item = dict[str, Any]

_KINDS = frozenset(
    re.findall(
        r"\w+",
        "message file_search_call computer_call computer_call_output web_search_call function_call "
        "function_call_output tool_search_call tool_search_output additional_tools reasoning compaction "
        "image_generation_call code_interpreter_call local_shell_call local_shell_call_output shell_call "
        "shell_call_output apply_patch_call apply_patch_call_output mcp_list_tools mcp_approval_request "
        "mcp_approval_response mcp_call custom_tool_call custom_tool_call_output compaction_trigger "
        "item_reference program program_output",
    )
)
_NEEDED: dict[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "mcp_approval_response": ("approval_request_id", "approve"),
    "item_reference": ("id",),
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One create's words, files already read, and everything said before, oldest first."""

    body: Mapping[str, Any]
    given: list[Item] = field(default_factory=list[Item])
    history: list[Item] = field(default_factory=list[Item])
    # The files it brought, as the truth log tells of them.
    files: list[Item] = field(default_factory=list[Item])
    # Why a file could not be read, where that fails the run: an error code and a message.
    problem: tuple[str, str] | None = None

    @property
    def conversation(self) -> list[Item]:
        """All items so far."""
        return [*self.history, *self.given]

    def source(self) -> Source:
        """What an answer may draw on."""
        return Source(self.given, self.history)

    def items(self, kind: str) -> list[Item]:
        """All items of one type."""
        return [item for item in self.conversation if item.get("type") == kind]

    def tools(self, kind: str) -> list[Item]:
        """The tools of one type that the request brings."""
        tools = [as_object(tool) for tool in as_list(self.body.get("tools"))]
        return [tool for tool in tools if tool.get("type") == kind]


def input_of(body: Mapping[str, Any]) -> list[Item]:
    """A request's input as items."""
    given = body.get("input")
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    return [as_object(item) for item in as_list(given)]


def check_items(given: Sequence[Item]) -> None:
    """Raises Refusal for an item the provider does not know, or one that lacks a field."""
    for index, item in enumerate(given):
        kind = str(item.get("type", "message"))
        if kind not in _KINDS:
            raise wrong(f"input[{index}].type", f"Invalid value: '{kind}'.")
        for name in _NEEDED.get(kind, ()):
            if item.get(name) is None:
                raise missing(f"input[{index}].{name}")


def check_turn(turn: Turn) -> None:
    """Raises Refusal when an answer names nothing that was asked, or a function call stays unanswered."""
    called = [str(item.get("call_id")) for item in turn.items("function_call")]
    answered = {str(item.get("call_id")) for item in turn.items("function_call_output")}
    for item in turn.given:
        if item.get("type") == "function_call_output" and str(item["call_id"]) not in called:
            told = f"No tool call found for function call output with call_id {item['call_id']}."
            raise Refusal(400, told, param="input")
    for call_id in called:
        if call_id not in answered:
            raise Refusal(400, f"No tool output found for function call {call_id}.", param="input")
    _check_approvals(turn)


def _check_approvals(turn: Turn) -> None:
    asked = {str(item.get("id")): item for item in turn.items("mcp_approval_request")}
    servers = {str(tool.get("server_label")) for tool in turn.tools("mcp")}
    for item in turn.given:
        if item.get("type") != "mcp_approval_response":
            continue
        request_id = str(item["approval_request_id"])
        if request_id not in asked:
            raise Refusal(400, f"Approval request with id '{request_id}' not found.", param="input")
        label = str(asked[request_id].get("server_label"))
        if label not in servers:
            told = f"MCP server '{label}' of approval request '{request_id}' not found in 'tools' parameter."
            raise Refusal(400, told, param="tools")

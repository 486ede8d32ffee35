"""Which functions a computed answer calls, and with what. It decides; it writes no items."""

import random
from typing import Any

from backlane.simulator.conversation import Item, Turn
from backlane.simulator.schema import Filler
from backlane.simulator.text import Source
from backlane.simulator.values import as_list, as_object

_CODE_NAMES = ("id", "code", "number", "reference", "sku", "order")


def decide_calls(turn: Turn, source: Source, chance: random.Random) -> list[Item]:
    """The calls of this turn, each with a name and arguments from the input; empty when it answers instead.

    Left to itself it calls once in a conversation, and only a function whose arguments the input can fill:
    every such function at once where parallel calls are allowed, otherwise the first.
    """
    mode, functions = _choice(turn)
    if mode == "auto":
        if turn.items("function_call_output"):
            return []
        functions = [tool for tool in functions if _has_material(tool, source)]
        if turn.body.get("parallel_tool_calls") is False:
            functions = functions[:1]
    elif mode == "required":
        functions = functions[:1]
    else:
        functions = []
    return [{"name": tool["name"], "arguments": _arguments(tool, source, chance)} for tool in functions]


def _choice(turn: Turn) -> tuple[str, list[Item]]:
    """How much the request insists, and the functions it leaves to choose from."""
    functions, choice = turn.tools("function"), turn.body.get("tool_choice")
    named = as_object(choice)
    if named.get("type") == "function":
        return "required", [tool for tool in functions if tool.get("name") == named.get("name")]
    if named.get("type") == "allowed_tools":
        names = [as_object(tool).get("name") for tool in as_list(named.get("tools"))]
        return str(named.get("mode", "auto")), [tool for tool in functions if tool.get("name") in names]
    if named.get("mode") == "required":
        return "required", functions
    # A named tool of another kind leaves no room for functions.
    return ("none" if named else str(choice or "auto")), functions


def _arguments(tool: Item, source: Source, chance: random.Random) -> Any:
    return Filler(as_object(tool.get("parameters")), source, chance).fill() or {}


def _has_material(tool: Item, source: Source) -> bool:
    """Whether the input holds something for each argument the function requires."""
    schema = as_object(tool.get("parameters"))
    properties = as_object(schema.get("properties"))
    required = [str(name) for name in as_list(schema.get("required"))] or list(properties)
    return bool(properties) and all(
        _offers(name, as_object(properties.get(name)), source) for name in required
    )


def _offers(name: str, schema: Item, source: Source) -> bool:
    kinds = as_list(schema.get("type")) or [schema.get("type")]
    if "const" in schema or "boolean" in kinds or "null" in kinds:
        return True
    if "enum" in schema:
        text = source.all_text.lower()
        return any(str(option).lower() in text for option in as_list(schema["enum"]))
    if "integer" in kinds or "number" in kinds:
        return bool(source.numbers)
    if "string" in kinds and str(schema.get("format", "")).startswith("date"):
        return bool(source.dates)
    words = name.lower()
    if "string" in kinds and any(words == one or words.endswith(f"_{one}") for one in _CODE_NAMES):
        return bool(source.codes)
    return bool(source.sentences)

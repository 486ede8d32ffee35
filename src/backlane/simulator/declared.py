"""Checks of what a create call declares: its answer format and its tools. It never looks at the input."""

import re
from collections.abc import Mapping
from typing import Any

from backlane.simulator.protocol import missing, wrong
from backlane.simulator.values import as_list, as_object

_TOOLS = frozenset(
    re.findall(
        r"\w+",
        "function file_search web_search web_search_2025_08_26 web_search_preview web_search_preview_2025_03_11 mcp "
        "code_interpreter image_generation local_shell shell apply_patch custom computer computer_use_preview "
        "namespace tool_search programmatic_tool_calling",
    )
)
_EFFORTS = (None, "none", "minimal", "low", "medium", "high", "xhigh", "max")


def check_declared(body: Mapping[str, Any], *, strict_schemas: bool) -> None:
    """Raises Refusal for a format, tool or reasoning setting the provider does not take."""
    text, reasoning = as_object(body.get("text")), as_object(body.get("reasoning"))
    for name in set(text) - {"format", "verbosity"}:
        raise wrong(f"text.{name}", f"Unknown parameter: 'text.{name}'.", "unknown_parameter")
    if text.get("verbosity") not in (None, "low", "medium", "high"):
        raise wrong("text.verbosity", f"Invalid value: '{text['verbosity']}'.")
    for name in set(reasoning) - {"effort", "summary", "generate_summary", "context", "mode"}:
        raise wrong(f"reasoning.{name}", f"Unknown parameter: 'reasoning.{name}'.", "unknown_parameter")
    if reasoning.get("effort") not in _EFFORTS:
        raise wrong("reasoning.effort", f"Invalid value: '{reasoning['effort']}'.")
    _check_format(text.get("format"), strict_schemas=strict_schemas)
    for index, tool in enumerate(as_list(body.get("tools"))):
        _check_tool(as_object(tool), f"tools[{index}]", strict_schemas=strict_schemas)
    _check_choice(body)


def _check_format(given: Any, *, strict_schemas: bool) -> None:
    if given is None:
        return
    form = as_object(given)
    if form.get("type") not in ("text", "json_object", "json_schema"):
        raise wrong("text.format.type", f"Invalid value: '{form.get('type')}'.")
    if form["type"] != "json_schema":
        return
    for name in ("name", "schema"):
        if not form.get(name) and form.get(name) != {}:
            raise missing(f"text.format.{name}")
    if form.get("strict") and strict_schemas:
        schema = as_object(form["schema"])
        where = f"Invalid schema for response_format '{form['name']}'"
        if schema.get("type") != "object":
            told = f"{where}: schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'."
            raise wrong("text.format.schema", told, "invalid_json_schema")
        _check_strict(schema, (), where, "text.format.schema")


def _check_tool(tool: dict[str, Any], where: str, *, strict_schemas: bool) -> None:
    if tool.get("type") not in _TOOLS:
        raise wrong(f"{where}.type", f"Invalid value: '{tool.get('type')}'.")
    if tool["type"] == "function":
        if not tool.get("name"):
            raise missing(f"{where}.name")
        if tool.get("strict") and strict_schemas:
            told = f"Invalid schema for function '{tool['name']}'"
            _check_strict(tool.get("parameters"), (), told, f"{where}.parameters")


def _check_choice(body: Mapping[str, Any]) -> None:
    choice: Any = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        raise wrong(
            "tool_choice", f"Invalid value: '{choice}'. Supported values are: 'none', 'auto', and 'required'."
        )
    named = as_object(choice)
    names = [as_object(tool).get("name") for tool in as_list(body.get("tools"))]
    if named.get("type") == "function" and named.get("name") not in names:
        raise wrong(
            "tool_choice",
            f"Tool choice 'function' named '{named.get('name')}' not found in 'tools' parameter.",
        )
    if choice == "required" and not names:
        raise wrong("tool_choice", "Tool choice 'required' must be specified with 'tools' parameter.")


def _check_strict(node: Any, path: tuple[str, ...], where: str, param: str) -> None:
    """Strict mode: every object closed, every property required."""
    for index, one in enumerate(as_list(node)):
        _check_strict(one, (*path, str(index)), where, param)
    schema = as_object(node)
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        if schema.get("additionalProperties") is not False:
            told = f"{where}: In context={path}, 'additionalProperties' is required to be supplied and to be false."
            raise wrong(param, told, "invalid_json_schema")
        absent = sorted(set(as_object(properties)) - set(as_list(schema.get("required"))))
        if absent:
            told = (
                f"{where}: In context={path}, 'required' is required to be supplied and to be an array including "
                f"every key in properties. Missing '{absent[0]}'."
            )
            raise wrong(param, told, "invalid_json_schema")
    for name, value in schema.items():
        if name == "properties" or name in ("$defs", "definitions"):
            for key, one in as_object(value).items():
                _check_strict(one, (*path, name, key), where, param)
        elif name in ("items", "anyOf", "oneOf", "allOf", "prefixItems"):
            _check_strict(value, (*path, name), where, param)

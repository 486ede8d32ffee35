"""What a create call may hold, and the provider's way of refusing one. Shapes only; no state."""

from collections.abc import Mapping
from typing import Any, cast

PARAMETERS = frozenset(
    [
        "access_programs",
        "background",
        "background_options",
        "context_management",
        "conversation",
        "image",
        "include",
        "input",
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "metadata",
        "model",
        "moderation",
        "parallel_tool_calls",
        "previous_response_id",
        "prompt",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "text",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "truncation",
        "user",
    ]
)
_TYPES: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "input": (str, list),
    "instructions": (str, list),
    "background": (bool,),
    "store": (bool,),
    "stream": (bool,),
    "metadata": (dict,),
    "max_output_tokens": (int,),
    "max_tool_calls": (int,),
    "tools": (list,),
    "include": (list,),
    "text": (dict,),
    "reasoning": (dict,),
    "previous_response_id": (str,),
    "service_tier": (str,),
}
_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast", "ultrafast"})


class Refusal(Exception):
    """An error reply: HTTP status, the error object, headers."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        kind: str = "invalid_request_error",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _wrong(param: str, message: str, code: str = "invalid_type") -> Refusal:
    return Refusal(400, message, code=code, param=param)


def check_create(body: Any) -> dict[str, Any]:
    """The body of a create call, if it is one. Raises Refusal as the provider would."""
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    known = cast(dict[str, Any], body)
    for name, value in known.items():
        if name not in PARAMETERS:
            raise _wrong(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
        types = _TYPES.get(name)
        if types and value is not None and (not isinstance(value, types) or (int in types and value is True)):
            raise _wrong(name, f"Invalid type for '{name}'.")
    for name in ("model", "input"):
        if not known.get(name):
            raise _wrong(name, f"Missing required parameter: '{name}'.", "missing_required_parameter")
    if known.get("stream"):
        raise _wrong("stream", "This simulator does not stream.", "unsupported_parameter")
    if (known.get("service_tier") or "auto") not in _TIERS:
        raise _wrong("service_tier", "Invalid value for 'service_tier'.", "invalid_value")
    _check_items(known["input"])
    _check_metadata(known.get("metadata") or {})
    text: Any = known.get("text") or {}
    _check_format(text.get("format"))
    return known


def _check_items(given: Any) -> None:
    if isinstance(given, str):
        return
    for index, item in enumerate(cast(list[Any], given)):
        if not isinstance(item, dict):
            raise _wrong(f"input[{index}]", f"Invalid type for 'input[{index}]': expected an object.")
        content: Any = cast(dict[str, Any], item).get("content")
        for part in cast(list[Any], content) if isinstance(content, list) else []:
            if not isinstance(part, dict) or "type" not in part:
                raise _wrong(f"input[{index}].content", f"Invalid content part in 'input[{index}]'.")


def _check_metadata(metadata: dict[str, Any]) -> None:
    if len(metadata) > 16:
        raise _wrong("metadata", "Too many metadata pairs: at most 16.", "metadata_max_pairs")
    for key, value in metadata.items():
        if not isinstance(value, str) or len(key) > 64 or len(value) > 512:
            raise _wrong("metadata", "Metadata keys take 64 characters, values are strings of at most 512.")


def _check_format(form: Any) -> None:
    if form is None:
        return
    if form.get("type") not in ("text", "json_object", "json_schema"):
        raise _wrong("text.format.type", "Invalid value for 'text.format.type'.", "invalid_value")
    if form["type"] == "json_schema":
        if not isinstance(form.get("schema"), dict) or not form.get("name"):
            raise _wrong("text.format", "Missing required parameter: 'text.format.schema'.")
        if form.get("strict"):
            _check_strict(form["schema"], "schema")


def _check_strict(node: Any, where: str) -> None:
    """Strict mode: every object closed, every property required."""
    if isinstance(node, list):
        for one in cast(list[Any], node):
            _check_strict(one, where)
    if not isinstance(node, dict):
        return
    schema = cast(dict[str, Any], node)
    if isinstance(schema.get("properties"), dict):
        names = set(cast(dict[str, Any], schema["properties"]))
        if schema.get("additionalProperties") is not False or set(schema.get("required", [])) != names:
            raise _wrong(
                "text.format.schema",
                f"Invalid schema for response_format: in {where}, 'additionalProperties' must be false and "
                "'required' must name every property.",
                "invalid_json_schema",
            )
    for name, value in schema.items():
        _check_strict(value, f"{where}.{name}")

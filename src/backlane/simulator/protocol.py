"""What a create call may hold, and the provider's way of refusing one. Shapes only; no state."""

from collections.abc import Mapping
from typing import Any, cast

from backlane.simulator.values import as_list, as_object

_TEXT, _WHOLE, _DECIMAL, _YES, _LIST, _OBJECT = (
    "a string",
    "an integer",
    "a decimal",
    "a boolean",
    "an array",
    "an object",
)
_CHECKS: dict[str, tuple[type, ...]] = {
    _TEXT: (str,),
    _WHOLE: (int,),
    _DECIMAL: (int, float),
    _YES: (bool,),
    _LIST: (list,),
    _OBJECT: (dict,),
}
# Every parameter of a create call and the kinds of value it takes; null is always allowed.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "access_programs": (_OBJECT,),
    "background": (_YES,),
    "background_options": (_OBJECT,),
    "context_management": (_LIST,),
    "conversation": (_TEXT, _OBJECT),
    "image": (_OBJECT,),
    "include": (_LIST,),
    "input": (_TEXT, _LIST),
    "instructions": (_TEXT,),
    "max_output_tokens": (_WHOLE,),
    "max_tool_calls": (_WHOLE,),
    "metadata": (_OBJECT,),
    "model": (_TEXT,),
    "moderation": (_OBJECT,),
    "parallel_tool_calls": (_YES,),
    "previous_response_id": (_TEXT,),
    "prompt": (_OBJECT,),
    "prompt_cache_key": (_TEXT,),
    "prompt_cache_options": (_OBJECT,),
    "prompt_cache_retention": (_TEXT,),
    "reasoning": (_OBJECT,),
    "safety_identifier": (_TEXT,),
    "service_tier": (_TEXT,),
    "store": (_YES,),
    "stream": (_YES,),
    "stream_options": (_OBJECT,),
    "temperature": (_DECIMAL,),
    "text": (_OBJECT,),
    "tool_choice": (_TEXT, _OBJECT),
    "tools": (_LIST,),
    "top_logprobs": (_WHOLE,),
    "top_p": (_DECIMAL,),
    "truncation": (_TEXT,),
    "user": (_TEXT,),
}
_CHOICES: dict[str, tuple[str, ...]] = {
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"),
    "truncation": ("auto", "disabled"),
    "prompt_cache_retention": ("in_memory", "24h"),
}
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "top_logprobs": (0, 20),
    "max_output_tokens": (16, 10_000_000),
    "max_tool_calls": (1, 10_000),
}


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
        self.body: Any = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def wrong(param: str, message: str, code: str = "invalid_value") -> Refusal:
    """The refusal of one parameter."""
    return Refusal(400, message, code=code, param=param)


def missing(param: str) -> Refusal:
    """The refusal of a call that lacks a parameter."""
    return wrong(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def check_create(body: Any) -> dict[str, Any]:
    """The body of a create call, if it is one. Raises Refusal as the provider would."""
    if not isinstance(body, dict):
        raise Refusal(400, "We could not parse the JSON body of your request.")
    known = cast(dict[str, Any], body)
    for name, value in known.items():
        _check_parameter(name, value)
    if not known.get("model"):
        raise missing("model")
    if known.get("input") is None and not known.get("previous_response_id"):
        raise missing("input")
    if known.get("conversation") is not None:
        raise Refusal(404, "Conversation not found.", param="conversation")
    if known.get("prompt") is not None:
        raise Refusal(404, "Prompt not found.", param="prompt")
    _check_stream(known)
    _check_items(known.get("input"))
    _check_metadata(as_object(known.get("metadata")))
    _check_window(known)
    return known


def _check_parameter(name: str, value: Any) -> None:
    kinds = PARAMETERS.get(name)
    if kinds is None:
        raise wrong(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
    if value is None:
        return
    if not any(_is(value, kind) for kind in kinds):
        told = f"Invalid type for '{name}': expected {' or '.join(kinds)}, but got {_kind_of(value)} instead."
        raise wrong(name, told, "invalid_type")
    if name in _CHOICES and value not in _CHOICES[name]:
        supported = ", ".join(f"'{one}'" for one in _CHOICES[name])
        raise wrong(name, f"Invalid value: '{value}'. Supported values are: {supported}.")
    if name in _RANGES:
        low, high = _RANGES[name]
        kind = "integer" if _is(value, _WHOLE) and PARAMETERS[name] == (_WHOLE,) else "decimal"
        if value < low:
            told = f"Invalid '{name}': {kind} below minimum value. Expected a value >= {low}, but got {value} instead."
            raise wrong(name, told, f"{kind}_below_min_value")
        if value > high:
            told = f"Invalid '{name}': {kind} above maximum value. Expected a value <= {high}, but got {value} instead."
            raise wrong(name, told, f"{kind}_above_max_value")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == _YES
    return isinstance(value, _CHECKS[kind])


def _kind_of(value: Any) -> str:
    return next((kind for kind in _CHECKS if _is(value, kind)), "null")


def _check_items(given: Any) -> None:
    for index, item in enumerate(as_list(given)):
        where = f"input[{index}]"
        if not isinstance(item, dict):
            raise wrong(where, f"Invalid type for '{where}': expected an object.", "invalid_type")
        known = as_object(item)
        if known.get("type", "message") != "message":
            continue
        if known.get("role") not in ("user", "assistant", "system", "developer"):
            told = "Supported values are: 'assistant', 'system', 'developer', and 'user'."
            raise wrong(f"{where}.role", f"Invalid value: '{known.get('role')}'. {told}")
        content = known.get("content")
        if not isinstance(content, str | list):
            raise missing(f"{where}.content")
        for number, part in enumerate(as_list(content)):
            if as_object(part).get("type") not in (
                "input_text",
                "input_image",
                "input_file",
                "output_text",
                "refusal",
            ):
                raise wrong(f"{where}.content[{number}]", f"Invalid value: '{as_object(part).get('type')}'.")


def _check_metadata(metadata: dict[str, Any]) -> None:
    if len(metadata) > 16:
        told = (
            "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
            f"but got {len(metadata)} instead."
        )
        raise wrong("metadata", told, "object_above_max_properties")
    for key, value in metadata.items():
        if not isinstance(value, str):
            told = f"Invalid type for 'metadata.{key}': expected a string, but got {_kind_of(value)} instead."
            raise wrong(f"metadata.{key}", told, "invalid_type")
        if len(key) > 64 or len(value) > 512:
            told = "Keys take at most 64 characters, values at most 512."
            raise wrong(
                f"metadata.{key[:64]}",
                f"Invalid 'metadata': string too long. {told}",
                "string_above_max_length",
            )


def _check_stream(body: Mapping[str, Any]) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not body.get("stream"):
        raise wrong(
            "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        )
    for name, value in as_object(options).items():
        where = f"stream_options.{name}"
        if name != "include_obfuscation":
            raise wrong(where, f"Unknown parameter: '{where}'.", "unknown_parameter")
        if not isinstance(value, bool):
            told = f"Invalid type for '{where}': expected {_YES}, but got {_kind_of(value)} instead."
            raise wrong(where, told, "invalid_type")


def _check_window(body: Mapping[str, Any]) -> None:
    """A completion window needs a background run on standard processing."""
    window = as_object(body.get("background_options")).get("completion_window", "soonest")
    if window not in ("soonest", "2h", "8h"):
        raise wrong("background_options.completion_window", f"Invalid value: '{window}'.")
    if body.get("background_options") is not None and not body.get("background"):
        raise wrong("background_options", "'background_options' requires background=true.")
    if window != "soonest" and body.get("stream"):
        raise wrong("stream", f"completion_window '{window}' requires stream=false.")
    if window != "soonest" and body.get("service_tier") in ("flex", "priority", "fast", "ultrafast"):
        raise wrong("service_tier", f"completion_window '{window}' requires standard processing.")

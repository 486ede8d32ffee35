"""What a job type asks of the provider: the create call's own parameters, checked, never guessed."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from pydantic import BaseModel

from backlane.fields import File

_OURS: Final = frozenset({"background", "stream", "stream_options", "background_options"})
_RESERVED: Final = frozenset({"backlane_job", "backlane_attempt"})
# Keywords of JSON Schema that the provider's strict mode does not take.
_DROPPED: Final = frozenset({"default", "title", "examples"})


class Request:
    """One create call. Takes what the provider's create call takes; an unknown parameter is an error.

    `input` is a string, the provider's own items (dicts), or a list of strings and `File`s, which become
    the parts of one user message. `output` is a pydantic model: the answer must be JSON of that form.
    `extra` is passed as it is. Raises TypeError or ValueError for what cannot be sent.
    """

    def __init__(
        self,
        *,
        model: str,
        input: str | Sequence[str | File | Mapping[str, Any]],  # noqa: A002 - the provider's own name
        instructions: str | None = None,
        output: type[BaseModel] | None = None,
        tools: Sequence[Mapping[str, Any]] | None = None,
        tool_choice: str | Mapping[str, Any] | None = None,
        reasoning: Mapping[str, Any] | None = None,
        max_output_tokens: int | None = None,
        max_tool_calls: int | None = None,
        service_tier: str | None = None,
        include: Sequence[str] | None = None,
        prompt: Mapping[str, Any] | None = None,
        store: bool | None = None,
        metadata: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        if not model:
            raise ValueError("Request: model must be a name")
        self.output = output
        given: dict[str, Any] = {
            "model": model,
            "input": _input_items(input),
            "instructions": instructions,
            "tools": None if tools is None else [dict(tool) for tool in tools],
            "tool_choice": tool_choice,
            "reasoning": reasoning,
            "max_output_tokens": max_output_tokens,
            "max_tool_calls": max_tool_calls,
            "service_tier": service_tier,
            "include": None if include is None else list(include),
            "prompt": prompt,
            "store": store,
            "metadata": _metadata(metadata),
        }
        self._params = {name: value for name, value in given.items() if value is not None}
        if output is not None:
            self._params["text"] = {"format": _format(output)}
        for name, value in (extra or {}).items():
            if name in _OURS or name in self._params:
                raise ValueError(f"Request: extra may not set {name!r}")
            self._params[name] = value

    def params(self) -> dict[str, Any]:
        """The create call's parameters, a fresh copy."""
        return copy.deepcopy(self._params)


def _input_items(given: Any) -> Any:
    if isinstance(given, str):
        return given
    items = list(given)
    if all(isinstance(item, Mapping) for item in items) and items:
        return [dict(item) for item in items]
    if not all(isinstance(item, str) for item in items) or not items:
        raise TypeError("Request: input must be a string, a list of items, or a list of strings and Files")
    parts = [
        {"type": "input_file", "file_id": str(item)}
        if isinstance(item, File)
        else {"type": "input_text", "text": item}
        for item in items
    ]
    return [{"type": "message", "role": "user", "content": parts}]


def _metadata(given: Mapping[str, str] | None) -> dict[str, str] | None:
    """At most 14 pairs: the provider takes 16, two of them are ours (openai 3.54, response_create_params)."""
    if given is None:
        return None
    pairs = dict(given)
    if len(pairs) > 14:
        raise ValueError("Request: metadata takes at most 14 pairs")
    for key, value in pairs.items():
        if key in _RESERVED:
            raise ValueError(f"Request: metadata key {key!r} is Backlane's own")
        if len(key) > 64 or len(value) > 512:
            raise ValueError("Request: metadata keys take 64 characters, values 512")
    return pairs


def _format(output: type[BaseModel]) -> dict[str, Any]:
    schema = strict_schema(output)
    return {"type": "json_schema", "name": output.__name__[:64], "schema": schema, "strict": True}


def strict_schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's JSON Schema as the provider's strict mode takes it: all properties required, none added."""
    return cast(dict[str, Any], _strict(model.model_json_schema()))


def _strict(node: Any) -> Any:
    if isinstance(node, list):
        return [_strict(one) for one in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    known = cast(dict[str, Any], node)
    if "properties" in known and isinstance(known["properties"], dict):
        properties = cast(dict[str, Any], known["properties"])
        rest = {
            key: _strict(value) for key, value in known.items() if key != "properties" and key not in _DROPPED
        }
        rest["properties"] = {name: _strict(value) for name, value in properties.items()}
        return {**rest, "required": list(properties), "additionalProperties": False}
    return {key: _strict(value) for key, value in known.items() if key not in _DROPPED}

"""What a job type asks of the provider: the create call's own parameters, checked, never guessed."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Never, cast

from pydantic import BaseModel

from backlane.fields import File
from backlane.schema import strict_schema

_OURS: Final = frozenset(
    {"background", "stream", "stream_options", "background_options", "store", "metadata"}
)
_RESERVED: Final = frozenset({"backlane_job", "backlane_attempt"})


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
        **unknown: Never,
    ) -> None:
        if unknown:
            raise TypeError(
                f"Request: unknown parameter {next(iter(unknown))!r}; the provider's others go into extra"
            )
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
        self._add(extra or {})

    def _add(self, extra: Mapping[str, Any]) -> None:
        for name, value in extra.items():
            given: Any = self._params.get(name)
            if name == "text" and given and isinstance(value, Mapping) and "format" not in value:
                self._params[name] = {**cast(Mapping[str, Any], value), **given}
            elif name in _OURS or name in self._params:
                raise ValueError(f"Request: extra may not set {name!r}")
            else:
                self._params[name] = value

    def params(self) -> dict[str, Any]:
        """The create call's parameters, a fresh copy. Raises ValueError for what JSON cannot carry."""
        try:
            text = json.dumps(self._params, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"Request: the parameters are no JSON ({type(error).__name__})") from None
        return json.loads(text)


def _input_items(given: Any) -> Any:
    if isinstance(given, str):
        return given
    if not isinstance(given, list | tuple):
        raise TypeError("Request: input must be a string, a list of items, or a list of strings and Files")
    items = list(cast(Sequence[Any], given))
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
        if not isinstance(cast(Any, key), str) or not isinstance(cast(Any, value), str):
            raise TypeError("Request: metadata takes texts as keys and values")
        if key in _RESERVED:
            raise ValueError(f"Request: metadata key {key!r} is Backlane's own")
        if len(key) > 64 or len(value) > 512:
            raise ValueError("Request: metadata keys take 64 characters, values 512")
    return pairs


def _format(output: type[BaseModel]) -> dict[str, Any]:
    if not isinstance(cast(Any, output), type) or not issubclass(cast(Any, output), BaseModel):
        raise TypeError("Request: output must be a pydantic model")
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", output.__name__)[:64]
    return {"type": "json_schema", "name": name, "schema": strict_schema(output), "strict": True}

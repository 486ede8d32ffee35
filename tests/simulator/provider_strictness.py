"""What a payload must be to pass for the provider's: the SDK's own types, and no field they do not know."""

import json
from collections.abc import Iterator
from typing import Any, get_args

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

KNOWN_EXTRA = {"store", "obfuscation", "first_id", "last_id"}
# The fields the provider's description requires beside those the SDK does.
REQUIRED = {
    "id",
    "object",
    "created_at",
    "status",
    "error",
    "incomplete_details",
    "instructions",
    "model",
    "output",
    "parallel_tool_calls",
    "metadata",
    "tool_choice",
    "tools",
    "temperature",
    "top_p",
    "usage",
}


def unknown_fields(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from (f"{path}.{name}" for name in value.model_extra or {} if name not in KNOWN_EXTRA)
        for name in type(value).model_fields:
            yield from unknown_fields(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from unknown_fields(item, f"{path}[{index}]")


def checked(kind: Any, payload: Any) -> Any:
    """The payload as the SDK's type, or an error that names what is wrong."""
    read = TypeAdapter(kind).validate_json(json.dumps(payload))
    assert list(unknown_fields(read)) == []
    return read


def checked_response(payload: dict[str, Any]) -> Response:
    """A Response object with the invariants that every status brings."""
    read: Response = checked(Response, payload)
    assert not REQUIRED - set(payload)
    assert (read.status == "failed") == (read.error is not None)
    assert (read.status == "incomplete") == (read.incomplete_details is not None)
    assert (read.status == "completed") == (read.completed_at is not None)
    if read.usage:
        assert read.usage.input_tokens + read.usage.output_tokens == read.usage.total_tokens
        assert read.usage.output_tokens_details.reasoning_tokens <= read.usage.output_tokens
    for item in read.output:
        if item.type == "message":
            for part in item.content:
                for note in getattr(part, "annotations", []):
                    first = getattr(note, "start_index", 0)
                    last = note.index if hasattr(note, "index") else note.end_index
                    assert 0 <= first <= last <= len(part.text)
    return read


EVENT_TYPES: dict[str, type[BaseModel]] = {
    get_args(kind.model_fields["type"].annotation)[0]: kind
    for kind in get_args(get_args(ResponseStreamEvent)[0])
}
# Fields of events that the provider's description requires and the SDK does not type.
EVENT_EXTRA = {"response.function_call_arguments.done": {"name"}}


def checked_event(payload: dict[str, Any]) -> Any:
    """An event of a stream as the SDK's type, with every field that type has."""
    extra = EVENT_EXTRA.get(payload["type"], set())
    assert extra <= set(payload)
    kind = EVENT_TYPES[payload["type"]]
    read = checked(kind, {key: value for key, value in payload.items() if key not in extra})
    assert {name for name, field in kind.model_fields.items() if field.is_required()} <= set(payload)
    return read

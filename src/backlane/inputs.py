"""Looking at inputs: what cannot be stored, where it stands, and what may be said of it without its text."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel

from backlane.fields import sensitive_fields

SUMMARY_AT_MOST = 200


def pointer_to(place: tuple[Any, ...], start: str = "/inputs") -> str:
    """A JSON pointer (RFC 6901) to a place in the inputs."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in place]
    return "/".join([start, *steps]) if steps else start


def unspeakable(value: Any, where: str, depth: int = 0) -> Any:
    """Places that hold what no database or provider can carry: NUL, lone surrogates, NaN, deep nesting."""
    if depth > 64:
        yield where[:200], "is nested deeper than 64"
    elif isinstance(value, str):
        if "\x00" in value:
            yield where, "must not hold NUL characters"
        elif any("\ud800" <= char <= "\udfff" for char in value):
            yield where, "must not hold lone surrogates"
    elif isinstance(value, float) and not math.isfinite(value):
        yield where, "must be a finite number"
    elif isinstance(value, Mapping):
        for key, one in cast(Mapping[Any, Any], value).items():
            yield from unspeakable(key, where, depth)
            yield from unspeakable(one, where + pointer_to((key,), ""), depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for index, one in enumerate(cast(Sequence[Any], value)):
            yield from unspeakable(one, f"{where}/{index}", depth + 1)


def closed_schema(node: Any) -> Any:
    """A JSON Schema whose objects take no unknown properties."""
    if isinstance(node, list):
        return [closed_schema(one) for one in cast(list[Any], node)]
    if not isinstance(node, dict):
        return node
    known = {key: closed_schema(value) for key, value in cast(dict[str, Any], node).items()}
    if known.get("type") == "object" and "properties" in known:
        known["additionalProperties"] = False
    return known


def _size(count: int) -> str:
    return f"{count} B" if count < 1000 else f"{count / 1000:.1f} kB"


def sizes(inputs: BaseModel) -> str:
    """Field names, counts and sizes, never text."""
    marked = sensitive_fields(type(inputs))
    parts: list[str] = []
    for name in type(inputs).model_fields:
        value = getattr(inputs, name)
        if name in marked:
            parts.append(f"{name}: sensitive")
        elif isinstance(value, str):
            parts.append(f"{name}: {_size(len(value.encode(errors='replace')))}")
        elif isinstance(value, list | tuple | dict | set):
            dumped = len(json.dumps(inputs.model_dump(mode="json", include={name}), default=str).encode())
            held = len(cast(Sequence[Any], value))
            parts.append(f"{name}: {held} item{'' if held == 1 else 's'}, {_size(dumped)}")
        else:
            parts.append(f"{name}: {type(value).__name__}")
    return ", ".join(parts)[:SUMMARY_AT_MOST]

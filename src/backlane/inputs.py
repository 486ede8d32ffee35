"""Looking at inputs: what cannot be stored, where it stands, and what may be said of it without its text."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from backlane.fields import File, sensitive_fields

SUMMARY_AT_MOST = 200


def pointer_to(place: tuple[Any, ...], start: str = "/inputs") -> str:
    """A JSON pointer (RFC 6901) to a place in the inputs."""
    steps = [str(step).replace("~", "~0").replace("/", "~1") for step in place]
    return "/".join([start, *steps]) if steps else start


_WORDS = {"missing": "is required", "extra_forbidden": "is not a known field"}
_FAULTS_AT_MOST = 100
_BUILT_IN = frozenset(get_args(ErrorType))


def faults_of(error: ValidationError, raw: Any, start: str = "/inputs") -> list[tuple[str, str]]:
    """Pointer and words for each fault, 100 at most; the words never quote what was given."""
    faults: dict[tuple[str, str], None] = {}
    for one in error.errors(include_url=False):
        if one["type"] == "union_tag_invalid":
            words = f"must be one of {one.get('ctx', {}).get('expected_tags')} in its tag"
        elif one["type"] in ("value_error", "assertion_error") or one["type"] not in _BUILT_IN:
            words = "is not valid" if _quotes(one["msg"], one["input"]) else one["msg"]
        elif one["type"].startswith("uuid"):
            words = "must be a UUID"
        else:
            words = _WORDS.get(one["type"], one["msg"])
        faults[pointer_to(_place(one["loc"], raw, one["type"]), start), words] = None
    return list(faults)[:_FAULTS_AT_MOST]


def _place(location: tuple[Any, ...], raw: Any, kind: str) -> tuple[Any, ...]:
    """The part of pydantic's location that is in the value: names of union branches are left out."""
    if isinstance(raw, str):
        return location
    place: list[Any] = []
    for index, step in enumerate(location):
        last = index == len(location) - 1
        if isinstance(raw, Mapping) and (step in raw or (last and kind == "missing")):
            raw = cast(Mapping[Any, Any], raw).get(step)
        elif isinstance(raw, list) and isinstance(step, int) and step < len(cast(list[Any], raw)):
            raw = cast(list[Any], raw)[step]
        else:
            continue
        place.append(step)
    return tuple(place)


def _quotes(message: str, given: Any) -> bool:
    """Whether a message of the type's own validator repeats a part of what was given."""
    if isinstance(given, Mapping):
        return any(_quotes(message, one) for one in cast(Mapping[Any, Any], given).values())
    if isinstance(given, list | tuple):
        return any(_quotes(message, one) for one in cast(Sequence[Any], given))
    if given is None or isinstance(given, bool):
        return False
    text = str(given).casefold().strip()
    return bool(text) and text in message.casefold()


def infinite(value: Any) -> bool:
    """Whether a JSON value holds NaN or an infinite number, which JSON cannot say."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(infinite(one) for one in cast(dict[str, Any], value).values())
    return isinstance(value, list) and any(infinite(one) for one in cast(list[Any], value))


def unspeakable(value: Any, where: str, depth: int = 0) -> Any:
    """Places that hold what no database or provider can carry: NUL, lone surrogates, NaN, deep nesting."""
    if depth > 64:
        yield where[:200], "is nested deeper than 64"
    elif isinstance(value, str):
        if "\x00" in value:
            yield where, "must not hold NUL characters"
        elif any("\ud800" <= char <= "\udfff" for char in value):
            yield where, "must not hold lone surrogates"
    elif isinstance(value, int) and value.bit_length() > 1024:
        yield where, "is too large a number"
    elif isinstance(value, float) and not math.isfinite(value):
        yield where, "must be a finite number"
    elif isinstance(value, Mapping):
        for key, one in cast(Mapping[Any, Any], value).items():
            yield from unspeakable(key, where, depth)
            yield from unspeakable(one, where + pointer_to((_clean(str(key)),), ""), depth + 1)
    elif isinstance(value, Sequence) and not isinstance(value, bytes):
        for index, one in enumerate(cast(Sequence[Any], value)):
            yield from unspeakable(one, f"{where}/{index}", depth + 1)


def _clean(key: str) -> str:
    """A key as an answer can carry it; the key itself is refused."""
    return key.replace("\x00", "\ufffd").encode(errors="replace").decode()


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
        elif isinstance(value, File):
            parts.append(f"{name}: a file")
        elif isinstance(value, str):
            parts.append(f"{name}: {_size(len(value.encode(errors='replace')))}")
        elif isinstance(value, list | tuple | dict | set):
            dumped = len(json.dumps(inputs.model_dump(mode="json", include={name}), default=str).encode())
            held = len(cast(Sequence[Any], value))
            parts.append(f"{name}: {held} item{'' if held == 1 else 's'}, {_size(dumped)}")
        else:
            parts.append(f"{name}: {type(value).__name__}")
    return ", ".join(parts)[:SUMMARY_AT_MOST]

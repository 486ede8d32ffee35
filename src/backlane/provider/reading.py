"""Reading vendor JSON of which nothing is certain: each reader answers with the value or with nothing."""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeGuard, cast

_ID = re.compile(r"[!-~]{1,200}")
# Legal in JSON, but neither UTF-8 nor every database takes them; one for one, so that offsets hold.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_TOKENS_AT_MOST = 10**12
_DEEPEST = 40
_NOT_FINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}


def is_run_id(value: Any) -> TypeGuard[str]:
    """Whether this can name a run, or another thing, in a path of the provider."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None and value.strip(".") != ""


def storable(text: str) -> str:
    """The text without what no database takes."""
    return _UNSTORABLE.sub("\ufffd", text)


def as_mapping(value: Any) -> Mapping[str, Any]:
    """The object, or an empty one."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def as_list(value: Any) -> list[Any]:
    """The array, or an empty one."""
    return cast(list[Any], value) if isinstance(value, list) else []


def as_text(value: Any, at_most: int | None = None) -> str | None:
    """The text, at most so many characters of it, or None."""
    return storable(value[:at_most]) if isinstance(value, str) else None


def as_count(value: Any) -> int | None:
    """The whole number from 0, or None."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and 0 <= value <= _TOKENS_AT_MOST else None


def as_second(value: Any) -> int | None:
    """The whole second since 1970, or None."""
    known = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _TOKENS_AT_MOST
    return int(value) if known else None


def as_stored(value: Any, depth: int = 0) -> Any:
    """A JSON value that every database takes; what lies too deep is left out.

    Python reads numbers that JSON has no words for (`1e999`, `NaN`): they become their text.
    """
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, float) and not math.isfinite(value):
        return _NOT_FINITE.get(value, "NaN")
    if depth >= _DEEPEST:
        return None if isinstance(value, dict | list) else value
    if isinstance(value, list):
        return [as_stored(one, depth + 1) for one in cast(list[Any], value)]
    if isinstance(value, Mapping):
        pairs = cast(Mapping[str, Any], value).items()
        return {storable(key): as_stored(one, depth + 1) for key, one in pairs}
    return value

"""What the provider says beyond the words that this version knows: kept as it came, and understood by nobody here."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from backlane.core.stream import EVENT_FIELD, UNKNOWN_AT_MOST
from backlane.provider.reading import as_list, as_mapping, as_stored, storable
from backlane.provider.vocabulary import EVENT_FIELDS, RUN_PARTS

# A larger value is kept by its size, characters of JSON.
KEPT_AT_MOST = 16_000
_NAME_AT_MOST = 200
# The service sends this one more than the SDK knows, to keep the connection open.
KEEPALIVE = "keepalive"


def beyond(value: Any, known: Mapping[str, Any]) -> Any:
    """What is new in a field of a run: only that, in its place; None where nothing is."""
    if value is None or not isinstance(value, Mapping):
        return value
    new: dict[str, Any] = {}
    for name, inner in cast(Mapping[str, Any], value).items():
        if name not in known:
            new[name] = inner
        elif known[name] and (deeper := beyond(inner, known[name])) is not None:
            new[name] = deeper
    return new or None


def new_in_run(body: Mapping[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    """What a run's fields say that nobody here knows, by field: new ones, and what is new inside known ones."""
    new = {name: value for name, value in body.items() if name not in fields}
    for name, known in RUN_PARTS.items():
        part = beyond(body.get(name), known)
        if part is not None:
            new[name] = part
    return new


def unreadable(output: Any) -> Any:
    """What of a run's output is no list of items, or no message's list of parts; None where all of it can be read."""
    if not isinstance(output, list):
        return output
    odd: list[Any] = [
        one for one in as_list(output) if not isinstance(one, Mapping) or _without_parts(as_mapping(one))
    ]
    return odd or None


def _without_parts(item: Mapping[str, Any]) -> bool:
    content = item.get("content")
    return item.get("type") == "message" and content is not None and not isinstance(content, list)


def is_message(items: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an item is a message that can be read, be it empty."""
    return any(item.get("type") == "message" and not _without_parts(item) for item in items)


def kept(whole: Mapping[str, Any], short: Mapping[str, Any]) -> str:
    """Something new as JSON; where it is too large, what names it and its size."""
    text = json.dumps(as_stored(whole), ensure_ascii=False)
    if len(text) <= KEPT_AT_MOST:
        return text
    return json.dumps({**short, "left_out": f"{len(text)} characters"}, ensure_ascii=False)


class NewFields:
    """The fields of known events that nobody here knows, each once, with its first value."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str]] = set()

    def of(self, kind: str, event: Mapping[str, Any]) -> tuple[str, ...]:
        """Those of one event that were not met before."""
        new = {name: value for name, value in event.items() if name not in _known(kind)}
        if kind == "error":
            # Its own fields may also stand one level deeper.
            inner: Any = new.pop("error", None)
            more = beyond(inner, RUN_PARTS["error"])
            new |= {"error": more} if more is not None else {}
        fresh = {name[:_NAME_AT_MOST]: value for name, value in new.items()}
        found = [self._told(kind, name, value) for name, value in fresh.items() if self._is_first(kind, name)]
        return tuple(found)

    def _is_first(self, kind: str, name: str) -> bool:
        if (kind, name) in self._seen or len(self._seen) >= UNKNOWN_AT_MOST:
            return False
        self._seen.add((kind, name))
        return True

    def _told(self, kind: str, name: str, value: Any) -> str:
        short = {"type": EVENT_FIELD, "event": kind, "field": storable(name)}
        return kept({**short, "value": value}, short)


def _known(kind: str) -> frozenset[str]:
    if kind == KEEPALIVE:
        return frozenset({"type", "sequence_number"})
    # A pad hides how long a piece is; it means nothing.
    return EVENT_FIELDS[kind] | {"obfuscation"} if kind.endswith(".delta") else EVENT_FIELDS[kind]

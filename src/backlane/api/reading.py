"""Reading requests strictly: sizes while reading, JSON without surprises, unknown fields refused with a pointer."""

import json
import math
import re
from datetime import datetime
from typing import Any, TypeVar, cast

from fastapi import Request
from pydantic import BaseModel, ConfigDict, ValidationError

from backlane.errors import InvalidRequest, Malformed, TooLarge

M = TypeVar("M", bound=BaseModel)
_DEPTH = 64
_PREFER = re.compile(r"(?:^|[;,\s])wait=(\d{1,4})(?:$|[;,\s])")


class Body(BaseModel):
    """A request body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=False, str_max_length=1_000_000)


async def read_bytes(request: Request, at_most: int) -> bytes:
    """The body, refused while it is read once it passes the limit. Raises TooLarge."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told) > at_most:
        raise TooLarge(f"The body may have at most {at_most} bytes.")
    chunks, size = list[bytes](), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > at_most:
            raise TooLarge(f"The body may have at most {at_most} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)


def _whole(text: str) -> int:
    if len(text) > 20:
        raise Malformed("A whole number has more than 20 digits.")
    return int(text)


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("An object names the same key twice.")
    return found


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key of a request, if it has one. Raises InvalidRequest."""
    key = request.headers.get("idempotency-key")
    if key is not None and (not 1 <= len(key) <= 255 or not key.isprintable()):
        raise InvalidRequest([("Idempotency-Key", "must be 1 to 255 printable characters")])
    return key


def strict_json(raw: bytes) -> Any:
    """JSON of single keys and at most 64 levels. Raises Malformed. NaN and infinities are for `speakable`."""
    if raw.count(b"[") + raw.count(b"{") > _DEPTH and _depth(raw) > _DEPTH:
        raise Malformed(f"The JSON is nested deeper than {_DEPTH}.")
    try:
        text = raw.decode("utf-8")
        return json.loads(text, parse_constant=float, parse_int=_whole, object_pairs_hook=_no_doubles)
    except UnicodeDecodeError:
        raise Malformed("The body is not UTF-8.") from None
    except (ValueError, RecursionError):
        raise Malformed("The body is not JSON.") from None


def _depth(raw: bytes) -> int:
    """How deep the brackets nest, strings left out; cheap, and before any parser recurses."""
    depth = deepest = 0
    quoted = escaped = False
    for byte in raw:
        if quoted:
            escaped, quoted = (not escaped and byte == 92), (byte != 34 or escaped)
        elif byte == 34:
            quoted = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def speakable(value: Any, where: str = "") -> list[tuple[str, str]]:
    """The places no database or provider can hold: NUL, lone surrogates, NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        return [(where, "must be a finite number")]
    if isinstance(value, str):
        if "\x00" in value:
            return [(where, "must not hold NUL characters")]
        return (
            [(where, "must not hold lone surrogates")]
            if any("\ud800" <= c <= "\udfff" for c in value)
            else []
        )
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return [
            fault
            for key, one in items
            for fault in (*speakable(key, where), *speakable(one, f"{where}/{_escape(key)}"))
        ]
    if isinstance(value, list):
        return [f for n, one in enumerate(cast(list[Any], value)) for f in speakable(one, f"{where}/{n}")]
    return []


def _escape(step: Any) -> str:
    text = str(step).replace("~", "~0").replace("/", "~1")
    return text.encode(errors="replace").decode()


async def read_json(request: Request, at_most: int, *, optional: bool = False) -> Any:
    """The JSON body. Raises Malformed, TooLarge or InvalidRequest."""
    raw = await read_bytes(request, at_most)
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if not raw and optional:
        return {}
    if kind != "application/json":
        raise Malformed("Send the body as application/json.")
    value = strict_json(raw)
    faults = speakable(value)
    if faults:
        raise InvalidRequest(faults)
    return value


def validated(model: type[M], value: Any, start: str = "") -> M:
    """The body as its model. Raises InvalidRequest with a pointer to each fault."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False)
        raise InvalidRequest(
            [("/".join([start, *(_escape(s) for s in one["loc"])]) or "/", one["msg"]) for one in faults[:20]]
        ) from None


def query(request: Request, model: type[M]) -> M:
    """The query as its model; unknown parameters are refused. Raises InvalidRequest."""
    given = dict(request.query_params)
    faults = [(f"?{key}", message) for key, value in given.items() for _, message in speakable(value)]
    if len(request.url.query) > 2048:
        faults.append(("?", "the query may have at most 2,048 characters"))
    if faults:
        raise InvalidRequest(faults)
    try:
        return model.model_validate(given)
    except ValidationError as error:
        told = error.errors(include_input=False, include_url=False)
        raise InvalidRequest(
            [(f"?{one['loc'][0] if one['loc'] else ''}", one["msg"]) for one in told]
        ) from None


def prefer_wait(request: Request) -> float:
    """How long the caller would wait for the answer (RFC 7240), at most 25 seconds."""
    found = _PREFER.search(request.headers.get("prefer", ""))
    return min(25.0, float(found[1])) if found else 0.0


def milliseconds(moment: datetime | None) -> int | None:
    """Milliseconds since 1970 UTC."""
    return None if moment is None else int(moment.timestamp() * 1000)


def takes(model: type[Body]) -> dict[str, Any]:
    """The request body in the OpenAPI description; it is read and checked by hand."""
    return {"requestBody": {"content": {"application/json": {"schema": model.model_json_schema()}}}}

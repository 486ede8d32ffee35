"""Vendor JSON to outcome values, pure. Nothing about a reply's shape is trusted; what is unknown is kept raw.

Field names and statuses: openai 3.54, types/responses/response.py.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from backlane.core.outcome import Accepted, Answer, Citation, Failed, Finished, LookOutcome, Pending, Unknown

_GOING_ON = frozenset({"queued", "in_progress"})
_ENDED = {"completed": "completed", "incomplete": "incomplete", "cancelled": "canceled", "failed": "failed"}
# Items that wait for an answer of ours: a run with one of these is "completed" only in the provider's words.
_CALLS = frozenset({"function_call", "custom_tool_call", "mcp_approval_request"})


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def accepted(reply: Any, look_after: int | None) -> Accepted | Unknown:
    """What a create's reply says. An id is a fact, however odd the rest looks."""
    body = _mapping(reply)
    response_id = _text(body.get("id"))
    if not response_id or len(response_id) > 200:
        return Unknown("garbled_reply", "the provider's reply names no run")
    status = _text(body.get("status")) or "unknown"
    return Accepted(response_id, status[:40], look_after, ended=status in _ENDED)


def observed(reply: Any, response_id: str, look_after: int | None) -> LookOutcome:
    """What a retrieve or cancel says of a run."""
    body = _mapping(reply)
    if body.get("id") != response_id:
        return Unknown("wrong_reply", "the provider's reply names another run", look_after)
    status = _text(body.get("status")) or "unknown"
    if status not in _ENDED:
        known = status if status in _GOING_ON else "unknown"
        return Pending(known, look_after, _metadata(body))
    answer = _answer(body, response_id, _ENDED[status])
    return Failed(answer) if status == "failed" else Finished(answer)


def _answer(body: Mapping[str, Any], response_id: str, status: str) -> Answer:
    items = [_mapping(item) for item in _list(body.get("output"))]
    text, citations, refusal = _written(items)
    code, message = _reason(body, status, items)
    searches = _mapping(_mapping(body.get("tool_usage")).get("web_search")).get("num_requests")
    return Answer(
        response_id=response_id,
        status=status,
        text=text,
        refusal=refusal,
        citations=citations,
        usage=usage(body.get("usage")),
        web_searches=searches if isinstance(searches, int) and searches > 0 else 0,
        model=_text(body.get("model")),
        service_tier=_text(body.get("service_tier")),
        code=code,
        message=message,
        metadata=_metadata(body),
    )


def _reason(
    body: Mapping[str, Any], status: str, items: list[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    if status == "failed":
        error = _mapping(body.get("error"))
        return (_text(error.get("code")) or "run_failed")[:100], (_text(error.get("message")) or "")[:500]
    if status == "incomplete":
        reason = (_text(_mapping(body.get("incomplete_details")).get("reason")) or "unknown")[:100]
        return ("content_filter" if reason == "content_filter" else "incomplete"), reason
    if status == "completed" and any(item.get("type") in _CALLS for item in items):
        return "tool_not_available", None
    return None, None


def _parts(items: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The content parts of the final messages; commentary only where nothing is marked final."""
    messages = [item for item in items if item.get("type") == "message"]
    final = [item for item in messages if item.get("phase") == "final_answer"]
    for message in final or messages:
        yield from (_mapping(part) for part in _list(message.get("content")))


def _written(items: list[Mapping[str, Any]]) -> tuple[str, tuple[Citation, ...], str | None]:
    text, citations, refusals = "", list[Citation](), list[str]()
    for part in _parts(items):
        if part.get("type") == "refusal":
            refusals.append(_text(part.get("refusal")) or "")
        elif part.get("type") == "output_text":
            written = _text(part.get("text")) or ""
            found = (
                _citation(_mapping(one), len(text), len(written)) for one in _list(part.get("annotations"))
            )
            citations += [one for one in found if one is not None]
            text += written
    return text, tuple(citations), ("\n".join(refusals) or None)


def _citation(note: Mapping[str, Any], offset: int, length: int) -> Citation | None:
    """One annotation; its offsets count within its part, ours within the whole text."""
    kind = _text(note.get("type")) or "unknown"
    start, end = note.get("start_index", note.get("index")), note.get("end_index", note.get("index"))
    first = min(max(start, 0), length) if isinstance(start, int) else 0
    last = min(max(end, first), length) if isinstance(end, int) else first
    source = _text(note.get("url")) or _text(note.get("file_id"))
    if source is None:
        return None
    title = _text(note.get("title")) or _text(note.get("filename"))
    return Citation(offset + first, offset + last, kind[:40], source[:2000], title and title[:500])


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    pairs = _mapping(body.get("metadata"))
    return {key: value for key, value in pairs.items() if isinstance(value, str)}


def usage(value: Any) -> dict[str, Any] | None:
    """The usage object, if it counts tokens; anything else is no usage, never zero."""
    counted = _mapping(value)
    for name in ("input_tokens", "output_tokens"):
        count = counted.get(name)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            return None
    return dict(counted)

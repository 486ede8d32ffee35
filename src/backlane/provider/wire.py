"""Vendor JSON to outcome values, pure. Nothing about a reply's shape is trusted; an id that came is never lost.

Field names and statuses: openai 3.54, types/responses/response.py.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from backlane.core.outcome import (
    GOING_ON,
    INVALID_OUTPUT,
    Accepted,
    Answer,
    Citation,
    Failed,
    Finished,
    LookOutcome,
    Pending,
    Stored,
    Unknown,
)
from backlane.provider.beyond import is_message, new_in_run, unreadable
from backlane.provider.items import (
    approvals_of,
    calls_of,
    cited_files,
    containers_of,
    hosted_of,
    items_of,
    searches_of,
    unpriced_of,
    unserved,
)
from backlane.provider.reading import as_count, as_list, as_mapping, as_stored, as_text, is_run_id, storable
from backlane.provider.replies import redact

# What is kept of a reply that is over the cap, characters.
_KEPT = 1_000_000
_FIRST_ID = re.compile(r'\s*\{\s*"id"\s*:\s*"([!-~]{1,200}?)"')
_FIRST_STATUS = re.compile(r'"status"\s*:\s*"([a-z_]{1,40})"')

_ENDED = {"completed": "completed", "incomplete": "incomplete", "cancelled": "canceled", "failed": "failed"}


# A Response's fields: openai 3.54, types/responses/response.py, and what the service sends beside them. Any
# other is new, and kept as it came.
FIELDS = frozenset({
    "access_programs", "background", "billing", "completed_at", "content_filters", "conversation",
    "created_at", "error", "frequency_penalty", "id", "image", "incomplete_details",
    "input_transformations", "instructions", "max_output_tokens", "max_tool_calls", "metadata", "model",
    "moderation", "object", "output", "output_text", "parallel_tool_calls", "presence_penalty",
    "previous_response_id", "prompt", "prompt_cache_diagnostics", "prompt_cache_key",
    "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier",
    "status", "store", "temperature", "text", "tool_choice", "tool_usage", "tools", "top_logprobs",
    "top_p", "truncation", "usage", "user",
})  # fmt: skip


def accepted(reply: Any, look_after: int | None, attempt_id: str | None = None) -> Accepted | Unknown:
    """What a create's reply says. An id is a fact, however odd the rest looks.

    Only a reply whose metadata names another attempt is not ours: that id belongs to someone else's run.
    """
    body = as_mapping(reply)
    response_id = body.get("id")
    if not is_run_id(response_id):
        return Unknown("garbled_reply", "the provider's reply names no run")
    named = _metadata(body).get("backlane_attempt")
    if attempt_id is not None and named is not None and named != attempt_id:
        return Unknown("wrong_response", "the provider's reply names another attempt")
    status = as_text(body.get("status"), 40) or "unknown"
    return Accepted(response_id, status, look_after, ended=status in _ENDED)


def accepted_in_part(body: bytes, look_after: int | None) -> Accepted | Unknown:
    """What the beginning of a create's reply says, whose end was never read."""
    found = _FIRST_ID.match(body[:1000].decode(errors="replace"))
    if found is None:
        return Unknown("reply_too_large", "the provider's reply is too large, and does not begin with an id")
    return Accepted(found[1], "unknown", look_after)


def observed_in_part(
    body: bytes, response_id: str, look_after: int | None, stored: Stored | None = None
) -> LookOutcome:
    """What the beginning of a look's reply says: the run goes on, or ended with more than is read."""
    head = body[:_KEPT].decode(errors="replace")
    named, status = _FIRST_ID.match(head), _FIRST_STATUS.search(head.partition('"output"')[0])
    if named is None or named[1] != response_id:
        return Unknown("garbled_reply", "the provider's reply does not begin with this run's id", look_after)
    if status is not None and status[1] in GOING_ON:
        return Pending(status[1], look_after)
    return Failed(
        Answer(
            response_id=response_id,
            status="failed",
            text=storable(head),
            code="result_too_large",
            message=f"{stored.size if stored else len(body)} bytes were read and the rest was not: truncated",
            raw=stored,
        )
    )


def observed(reply: Any, response_id: str, look_after: int | None) -> LookOutcome:
    """What a retrieve or cancel says of a run."""
    body = as_mapping(reply)
    named = body.get("id")
    if not is_run_id(named):
        return Unknown("garbled_reply", "the provider's reply names no run", look_after)
    if named != response_id:
        return Unknown("wrong_response", "the provider's reply names another run", look_after)
    status = as_text(body.get("status"), 40) or "unknown"
    if status not in _ENDED:
        # Also a word that nobody knows: it is shown as it came, and the run is looked at again.
        return Pending(status, look_after, _metadata(body))
    answer = _answer(body, response_id, _ENDED[status])
    return Failed(answer) if status == "failed" else Finished(answer)


def _answer(body: Mapping[str, Any], response_id: str, status: str) -> Answer:
    items = [as_mapping(item) for item in as_list(body.get("output"))]
    text, citations, refusal = _written(items)
    code, message = _reason(body, status, items)
    odd = unreadable(body.get("output"))
    searches = as_count(as_mapping(as_mapping(body.get("tool_usage")).get("web_search")).get("num_requests"))
    calls, approvals = calls_of(items), approvals_of(items)
    if status == "completed" and odd is not None and not (code or calls or approvals or is_message(items)):
        # What should be the answer cannot be read: that is none, not an empty one.
        code = INVALID_OUTPUT
    return Answer(
        response_id=response_id,
        status=status,
        text=text,
        refusal=refusal,
        citations=citations,
        usage=usage(body.get("usage")),
        web_searches=searches_of(items) if searches is None else searches,
        model=as_text(body.get("model"), 200),
        service_tier=as_text(body.get("service_tier"), 40),
        code=code,
        message=message,
        metadata=_metadata(body),
        calls=calls,
        approvals=approvals,
        hosted=hosted_of([*items, *_new_fields(body, odd)]),
        files=cited_files(items),
        containers=containers_of(items, body),
        items=items_of(items) if calls or approvals else (),
        unpriced=unpriced_of(items),
    )


def _new_fields(body: Mapping[str, Any], odd: Any) -> list[Mapping[str, Any]]:
    """What a reply says that nobody here knows or can read, as one item of its own."""
    new = new_in_run(body, FIELDS)
    if odd is not None:
        new["output"] = odd
    if usage(body.get("usage")) is None and body.get("usage") is not None:
        new["usage"] = body["usage"]
    return [{**new, "type": "response_fields"}] if new else []


def _reason(
    body: Mapping[str, Any], status: str, items: list[Mapping[str, Any]]
) -> tuple[str | None, str | None]:
    if status == "failed":
        error = as_mapping(body.get("error"))
        told = redact(as_text(error.get("message"), 500) or "")
        return as_text(error.get("code"), 100) or "run_failed", told
    if status == "incomplete":
        reason = as_text(as_mapping(body.get("incomplete_details")).get("reason"), 100) or "unknown"
        return ("content_filter" if reason == "content_filter" else "incomplete"), reason
    if status == "completed" and unserved(items):
        return "tool_not_available", None
    return None, None


def _parts(items: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The content parts of the final messages; commentary only where nothing is marked final."""
    messages = [item for item in items if item.get("type") == "message"]
    final = [item for item in messages if item.get("phase") == "final_answer"]
    for message in final or messages:
        yield from (as_mapping(part) for part in as_list(message.get("content")))


def _written(items: list[Mapping[str, Any]]) -> tuple[str, tuple[Citation, ...], str | None]:
    texts, citations, refusals, offset = list[str](), list[Citation](), list[str](), 0
    for part in _parts(items):
        if part.get("type") == "refusal":
            refusals.append(as_text(part.get("refusal")) or "")
        elif part.get("type") == "output_text":
            written = as_text(part.get("text")) or ""
            found = (
                _citation(as_mapping(one), offset, len(written)) for one in as_list(part.get("annotations"))
            )
            citations += [one for one in found if one is not None]
            texts.append(written)
            offset += len(written)
    # A refusal without words is still one, so it must not read as none.
    refusal = ("\n".join(refusals).strip() or "refused") if refusals else None
    return "".join(texts), tuple(citations), refusal


def _citation(note: Mapping[str, Any], offset: int, length: int) -> Citation | None:
    """One annotation; its offsets count within its part, ours within the whole text."""
    source = as_text(note.get("url"), 2000) or as_text(note.get("file_id"), 2000)
    if source is None:
        return None
    first = min(as_count(note.get("start_index", note.get("index"))) or 0, length)
    last = as_count(note.get("end_index"))
    end = first if last is None else min(max(last, first), length)
    title = as_text(note.get("title"), 500) or as_text(note.get("filename"), 500)
    return Citation(offset + first, offset + end, as_text(note.get("type"), 40) or "unknown", source, title)


def _metadata(body: Mapping[str, Any]) -> dict[str, str]:
    pairs: Mapping[Any, Any] = as_mapping(body.get("metadata"))
    texts = ((as_text(key), as_text(value)) for key, value in pairs.items())
    return {key: value for key, value in texts if key is not None and value is not None}


def usage(value: Any) -> dict[str, Any] | None:
    """The usage object, if it counts tokens; anything else is no usage, never zero."""
    counted = as_mapping(value)
    if any(as_count(counted.get(name)) is None for name in ("input_tokens", "output_tokens")):
        return None
    return as_stored(counted)

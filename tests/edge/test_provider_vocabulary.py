"""The provider's words that this version knows are those of the official SDK: neither more nor fewer."""

from typing import Any, get_args

from openai.types.responses import (
    Response,
    ResponseOutputItem,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseStreamEvent,
)
from openai.types.webhooks import UnwrapWebhookEvent

from backlane.provider.items import hosted_of
from backlane.provider.vocabulary import EVENT_FIELDS, EVENTS, FIELDS, PARTS, RUN_PARTS
from backlane.provider.webhooks import EVENT_TYPES
from backlane.provider.webhooks import FIELDS as WEBHOOK_FIELDS
from backlane.provider.wire import FIELDS as RUN_FIELDS
from backlane.service.keep_evidence import EVIDENCE_TYPES


def members(kind: Any) -> list[Any]:
    """The classes of a union, however it is wrapped: in Annotated, List or Optional."""
    if isinstance(kind, type) and hasattr(kind, "model_fields"):
        return [kind]
    return [one for inner in get_args(kind) for one in members(inner)]


def types_of(kind: Any) -> set[str]:
    return set(get_args(kind.model_fields["type"].annotation))


def fields_of(kind: Any) -> set[str]:
    return {field.alias or name for name, field in kind.model_fields.items()}


def by_type(kind: Any) -> dict[str, set[str]]:
    return {name: fields_of(one) for one in members(kind) for name in types_of(one)}


def parts(holder: Any, field: str) -> dict[str, set[str]]:
    return by_type(holder.model_fields[field].annotation)


def test_event_types_are_those_of_the_sdk() -> None:
    assert set().union(*map(types_of, members(ResponseStreamEvent))) == EVENTS


def test_fields_of_events_are_those_of_the_sdk() -> None:
    assert by_type(ResponseStreamEvent) == EVENT_FIELDS


def tree(kind: Any) -> dict[str, Any]:
    """The fields of a class, with the fields of what they hold."""
    found: dict[str, Any] = {}
    for name, field in kind.model_fields.items():
        inner = [tree(one) for one in members(field.annotation)]
        found[field.alias or name] = {key: value for one in inner for key, value in one.items()}
    return found


def test_what_lies_inside_fields_of_a_run_is_what_the_sdk_knows() -> None:
    fields = tree(Response)
    assert {name: fields[name] for name in RUN_PARTS} == RUN_PARTS


def test_types_and_fields_of_signed_events_are_those_of_the_sdk() -> None:
    known = {kind: one for one in members(UnwrapWebhookEvent) for kind in types_of(one)}
    for kind in EVENT_TYPES:
        assert tree(known[kind]) == WEBHOOK_FIELDS
    about = {kind for kind in known if kind.startswith(("response.", "batch."))}
    assert about == set(EVENT_TYPES)


def test_fields_of_items_and_of_their_parts_are_those_of_the_sdk() -> None:
    items = by_type(ResponseOutputItem)
    assert {kind: items[kind] for kind in FIELDS} == FIELDS
    found = {
        "message": {"content": parts(ResponseOutputMessage, "content")},
        "reasoning": {name: parts(ResponseReasoningItem, name) for name in ("summary", "content")},
        "output_text": {"annotations": parts(ResponseOutputText, "annotations")},
    }
    assert found == PARTS


def test_every_item_type_of_the_sdk_is_evidence_or_known_to_be_none() -> None:
    assert by_type(ResponseOutputItem).keys() == (EVIDENCE_TYPES - {"left_out"}) | FIELDS.keys()


def test_a_run_has_no_field_of_the_sdk_that_is_taken_for_new() -> None:
    assert fields_of(Response) <= RUN_FIELDS


def test_an_item_that_says_more_than_is_known_is_kept_whole_and_any_other_is_not() -> None:
    note = {"type": "url_citation", "start_index": 0, "end_index": 1, "title": "t", "url": "u"}
    text: dict[str, Any] = {"type": "output_text", "text": "x", "annotations": [note], "logprobs": []}
    message: dict[str, Any] = {"type": "message", "id": "msg_1", "content": [text], "phase": "final_answer"}
    thought: dict[str, Any] = {"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed"}
    thought["summary"] = [{"type": "summary_text", "text": "x"}]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "status": "completed"}
    assert hosted_of([message, thought, call]) == ()
    more: list[dict[str, Any]] = [
        {**message, "mood": None},
        {**message, "content": [text, {"type": "output_hologram"}]},
        {**message, "content": [{**text, "font": "big"}]},
        {**message, "content": [{**text, "annotations": [note, {"type": "aura"}]}]},
        {**message, "content": [{**text, "annotations": [{**note, "trust": 1}]}]},
        {**message, "content": [7, {"type": ["output_text"]}]},
        {**call, "mood": "calm"},
    ]
    assert hosted_of(more) == tuple(more)
    # What only the provider can read is not kept for the sake of something else.
    deeper = {**thought, "content": [{"type": "reasoning_picture"}]}
    unsealed = {name: value for name, value in deeper.items() if name != "encrypted_content"}
    assert hosted_of([deeper]) == (unsealed,)

"""How output items are streamed, by their type: what stands at first, which events follow, what comes in pieces."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.values import as_list, as_object

Item = dict[str, Any]
# An event's type and its fields, not numbered yet.
Step = tuple[str, dict[str, Any]]
_MOST_PIECES = 4000


@dataclass(frozen=True, slots=True)
class Shape:
    """Between `output_item.added` and `output_item.done`: events, a text in pieces, events."""

    # Fields as they stand when the item is added.
    blank: Mapping[str, Any] = field(default_factory=dict[str, Any])
    # Of these objects only the named fields are known when the item is added.
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    before: tuple[str, ...] = ()
    # The events' stem and the field that holds the text.
    text: tuple[str, str] | None = None
    after: tuple[str, ...] = ()
    # Instead of the last event of `after` when the item failed.
    failed: str | None = None
    # Further fields of the item that the text's `done` event tells.
    told: tuple[str, ...] = ()


SHAPES: dict[str, Shape] = {
    "message": Shape(blank={"content": []}),
    "reasoning": Shape(blank={"summary": [], "content": [], "encrypted_content": ""}),
    "function_call": Shape(
        blank={"arguments": ""}, text=("function_call_arguments", "arguments"), told=("name",)
    ),
    "custom_tool_call": Shape(blank={"input": ""}, text=("custom_tool_call_input", "input")),
    "web_search_call": Shape(
        known={"action": ("type", "query", "url", "pattern")},
        before=("web_search_call.in_progress", "web_search_call.searching"),
        after=("web_search_call.completed",),
    ),
    "file_search_call": Shape(
        blank={"results": None},
        before=("file_search_call.in_progress", "file_search_call.searching"),
        after=("file_search_call.completed",),
    ),
    "code_interpreter_call": Shape(
        blank={"code": "", "outputs": None},
        before=("code_interpreter_call.in_progress",),
        text=("code_interpreter_call_code", "code"),
        after=("code_interpreter_call.interpreting", "code_interpreter_call.completed"),
    ),
    "image_generation_call": Shape(
        blank={"result": None},
        before=("image_generation_call.in_progress", "image_generation_call.generating"),
        after=("image_generation_call.completed",),
    ),
    "mcp_list_tools": Shape(
        blank={"tools": [], "error": None},
        before=("mcp_list_tools.in_progress",),
        after=("mcp_list_tools.completed",),
        failed="mcp_list_tools.failed",
    ),
    "mcp_call": Shape(
        blank={"arguments": "", "output": None, "error": None},
        before=("mcp_call.in_progress",),
        text=("mcp_call_arguments", "arguments"),
        after=("mcp_call.completed",),
        failed="mcp_call.failed",
    ),
    "compaction": Shape(blank={"encrypted_content": ""}, before=("compaction.compacting",)),
}
_ANY = Shape()


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts texts into pieces of about a size; the same chance gives the same pieces."""

    chance: random.Random
    size: int

    def pieces(self, text: str) -> Iterator[str]:
        """The text, piece by piece."""
        size, start = max(self.size, len(text) // _MOST_PIECES, 1), 0
        while start < len(text):
            end = start + self.chance.randint((size + 1) // 2, size + size // 2)
            yield text[start:end]
            start = end


def item_steps(item: Item, index: int, cutter: Cutter) -> Iterator[Step]:
    """All events of one output item, a type that nobody knows included."""
    kind = str(item.get("type"))
    shape = SHAPES.get(kind, _ANY)
    at = {"item_id": str(item.get("id") or f"item_{index}"), "output_index": index}
    yield "response.output_item.added", {"output_index": index, "item": _added(item, shape)}
    for name in shape.before:
        yield f"response.{name}", at
    if kind == "message":
        yield from _contents(item, at, cutter)
    elif kind == "reasoning":
        yield from _summaries(item, at, cutter)
        yield from _contents(item, at, cutter)
    if shape.text is not None and isinstance(item.get(shape.text[1]), str):
        stem, name = shape.text
        told = {key: item[key] for key in shape.told if key in item}
        yield from _text(stem, at, item[name], cutter, ends={**told, name: item[name]})
    after = list(shape.after)
    if shape.failed is not None and (item.get("status") == "failed" or item.get("error") is not None):
        after[-1] = shape.failed
    for name in after:
        yield f"response.{name}", at
    yield "response.output_item.done", {"output_index": index, "item": item}


def _added(item: Item, shape: Shape) -> Item:
    begun = {**item, **{key: value for key, value in shape.blank.items() if key in item}}
    for key, names in shape.known.items():
        if key in item:
            begun[key] = {name: value for name, value in as_object(item[key]).items() if name in names}
    if "status" in item:
        begun["status"] = "in_progress"
    return begun


def _text(
    stem: str,
    at: Mapping[str, Any],
    text: str,
    cutter: Cutter,
    *,
    ends: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
) -> Iterator[Step]:
    for piece in cutter.pieces(text):
        yield f"response.{stem}.delta", {**at, "delta": piece, **(extra or {})}
    yield f"response.{stem}.done", {**at, **ends, **(extra or {})}


def _contents(item: Item, at: Mapping[str, Any], cutter: Cutter) -> Iterator[Step]:
    for number, given in enumerate(as_list(item.get("content"))):
        part, where = as_object(given), {**at, "content_index": number}
        kind = str(part.get("type"))
        name = "refusal" if kind == "refusal" else "text"
        blank: Item = {name: "", "annotations": [], "logprobs": []}
        begun = {**part, **{key: value for key, value in blank.items() if key in part}}
        yield "response.content_part.added", {**where, "part": begun}
        if kind in ("output_text", "reasoning_text", "refusal"):
            extra: Item = {"logprobs": part.get("logprobs") or []} if kind == "output_text" else {}
            steps = list(_text(kind, where, str(part[name]), cutter, ends={name: part[name]}, extra=extra))
            yield from steps[:-1]
            for place, note in enumerate(as_list(part.get("annotations"))):
                told = {**where, "annotation_index": place, "annotation": note}
                yield "response.output_text.annotation.added", told
            yield steps[-1]
        yield "response.content_part.done", {**where, "part": part}


def _summaries(item: Item, at: Mapping[str, Any], cutter: Cutter) -> Iterator[Step]:
    for number, given in enumerate(as_list(item.get("summary"))):
        part, where = as_object(given), {**at, "summary_index": number}
        text = str(part.get("text", ""))
        yield "response.reasoning_summary_part.added", {**where, "part": {**part, "text": ""}}
        yield from _text("reasoning_summary_text", where, text, cutter, ends={"text": text})
        yield "response.reasoning_summary_part.done", {**where, "part": part}

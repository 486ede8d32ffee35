"""The output items of a run, computed from its request unless a script says otherwise. It knows no clock."""

import json
import random
from collections.abc import Mapping
from typing import Any

from backlane.simulator.schema import Filler
from backlane.simulator.summary import summarize
from backlane.simulator.text import Source
from backlane.simulator.values import as_list, as_object

Item = dict[str, Any]


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return (len(text) + 3) // 4


def write_output(body: Mapping[str, Any], then: Mapping[str, Any], tail: str, seed: int) -> list[Item]:
    """Every item the run will have once it ends; `tail` makes their ids the run's own."""
    if "output" in then:
        return as_list(then["output"])
    source, chance = Source(body.get("input")), random.Random(f"{seed}:{tail}")
    items: list[Item] = [{"id": f"rs_{tail}", "type": "reasoning", "summary": []}]
    calls = as_list(then.get("tool_calls"))
    if not calls and not {"text", "json", "refusal"} & set(then):
        calls = _required_calls(body, source, chance)
    items += [_function_call(as_object(call), tail, index) for index, call in enumerate(calls)]
    if not calls:
        items.append(_message(body, then, tail, source, chance))
    return items


def _function_call(call: Mapping[str, Any], tail: str, index: int) -> Item:
    arguments = call.get("arguments", {})
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {
        "id": f"fc_{tail}{index}",
        "type": "function_call",
        "status": "completed",
        "call_id": f"call_{tail[:20]}{index}",
        "name": str(call.get("name", "")),
        "arguments": written,
    }


def _required_calls(body: Mapping[str, Any], source: Source, chance: random.Random) -> list[Item]:
    """One call when the request insists on one, its arguments taken from the input."""
    functions = [as_object(tool) for tool in as_list(body.get("tools"))]
    functions = [tool for tool in functions if tool.get("type") == "function"]
    choice: Any = body.get("tool_choice")
    named = as_object(choice)
    if named.get("type") == "function":
        functions = [tool for tool in functions if tool.get("name") == named.get("name")]
    elif choice != "required" and named.get("mode") != "required":
        return []
    if not functions:
        return []
    tool = functions[0]
    return [
        {
            "name": tool["name"],
            "arguments": Filler(as_object(tool.get("parameters")), source, chance).fill() or {},
        }
    ]


def _message(
    body: Mapping[str, Any], then: Mapping[str, Any], tail: str, source: Source, chance: random.Random
) -> Item:
    if "refusal" in then:
        content: Item = {"type": "refusal", "refusal": str(then["refusal"])}
    else:
        text, notes = _written(body, then, source, chance)
        if "citations" in then:
            notes = [_citation(as_object(one), text) for one in as_list(then["citations"])]
        content = {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}
    return {
        "id": f"msg_{tail}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }


def _written(
    body: Mapping[str, Any], then: Mapping[str, Any], source: Source, chance: random.Random
) -> tuple[str, list[Item]]:
    if "json" in then:
        return json.dumps(then["json"], ensure_ascii=False), []
    form = as_object(as_object(body.get("text")).get("format"))
    if "text" in then:
        text, notes = str(then["text"]), list[Item]()
    elif form.get("type") == "json_schema":
        filled = Filler(as_object(form.get("schema")), source, chance).fill()
        return json.dumps(filled, ensure_ascii=False), []
    elif form.get("type") == "json_object":
        quotes = [one.text for one in source.key_sentences(3)]
        return json.dumps({"summary": quotes, "key_terms": source.terms[:5]}, ensure_ascii=False), []
    else:
        written = summarize(source, str(body.get("instructions") or ""))
        text, notes = written.text, written.annotations
    size = then.get("text_characters")
    if isinstance(size, int):
        text = (text * (size // max(1, len(text)) + 1))[:size]
        notes = [one for one in notes if one["end_index"] <= size]
    return text, notes


def _citation(given: Item, text: str) -> Item:
    """A whole annotation as it is; a quote is looked up in the answer's text."""
    if "quote" not in given:
        return {"type": "url_citation", **given}
    start = max(0, text.find(str(given["quote"])))
    return {
        "type": "url_citation",
        "start_index": start,
        "end_index": min(len(text), start + len(str(given["quote"]))),
        "url": str(given.get("url", "https://example.test/")),
        "title": str(given.get("title", "")),
    }


def output_tokens(items: list[Item]) -> int:
    """The tokens of everything the run wrote, reasoning left out."""
    total = 0
    for item in items:
        total += tokens(str(item.get("name", "")) + str(item.get("arguments", "")))
        for part in as_list(item.get("content")):
            total += tokens(str(as_object(part).get("text", as_object(part).get("refusal", ""))))
    return total


def cut(items: list[Item], most: int) -> list[Item]:
    """What is left of the items when the run stops after this many tokens."""
    kept: list[Item] = []
    for item in items:
        size = output_tokens([item])
        if size <= most:
            kept.append(item)
            most -= size
        elif most > 0 and item.get("type") == "message":
            kept.append({**item, "status": "incomplete", "content": [_shorter(item["content"][0], most * 4)]})
            break
        else:
            break
    return kept


def _shorter(part: Item, size: int) -> Item:
    if part.get("type") == "refusal":
        return {**part, "refusal": part["refusal"][:size]}
    notes = [one for one in part["annotations"] if one.get("end_index", 0) <= size]
    return {**part, "text": part["text"][:size], "annotations": notes}

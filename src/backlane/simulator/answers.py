"""The output items of a run, computed from its request unless a script says otherwise. It knows no clock."""

import json
import random
from collections.abc import Mapping
from typing import Any

from backlane.simulator.desk import Desk, Finding, Work
from backlane.simulator.function_calls import decide_calls
from backlane.simulator.hosted import use_tools
from backlane.simulator.schema import Filler
from backlane.simulator.summary import add_findings, place_notes, summarize
from backlane.simulator.text import Source
from backlane.simulator.values import as_list, as_object

Item = dict[str, Any]
# A script that says what is answered leaves no room for computed calls.
_SAID = {"text", "json", "refusal"}


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return (len(text) + 3) // 4


def write_output(desk: Desk, seed: int) -> Work:
    """Every item the run will have once it ends, and what its tools leave behind."""
    body, then, tail = desk.turn.body, desk.then, desk.tail
    if "output" in then:
        return Work(as_list(then["output"]))
    source, chance = desk.source, random.Random(f"{seed}:{tail}")
    work = Work([{"id": f"rs_{tail}", "type": "reasoning", "summary": []}])
    calls = as_list(then.get("tool_calls"))
    if not calls and not _SAID & set(then):
        calls = decide_calls(desk.turn, source, chance)
    work.items += [_function_call(as_object(call), tail, index) for index, call in enumerate(calls)]
    if not calls:
        work.add(use_tools(desk))
        if not work.waits:
            work.items.append(_message(body, then, tail, source, chance, work.findings))
    return work


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


def _message(
    body: Mapping[str, Any],
    then: Mapping[str, Any],
    tail: str,
    source: Source,
    chance: random.Random,
    findings: list[Finding],
) -> Item:
    if "refusal" in then:
        content: Item = {"type": "refusal", "refusal": str(then["refusal"])}
    else:
        text, notes = _written(body, then, source, chance, findings)
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
    body: Mapping[str, Any],
    then: Mapping[str, Any],
    source: Source,
    chance: random.Random,
    findings: list[Finding],
) -> tuple[str, list[Item]]:
    form = as_object(as_object(body.get("text")).get("format"))
    filled: Any = None
    if "json" in then:
        filled = then["json"]
    elif "text" not in then and form.get("type") == "json_schema":
        filled = Filler(as_object(form.get("schema")), source, chance).fill()
    elif "text" not in then and form.get("type") == "json_object":
        quotes = [one.text for one in source.key_sentences(3)]
        filled = {"summary": quotes, "key_terms": source.terms[:5]}
    if "json" in then or filled is not None:
        text = json.dumps(filled, ensure_ascii=False)
        return text, place_notes(text, findings)
    if "text" in then:
        text = str(then["text"])
        notes = place_notes(text, findings)
    else:
        written = add_findings(summarize(source, str(body.get("instructions") or "")), findings)
        text, notes = written.text, written.annotations
    size = then.get("text_characters")
    if isinstance(size, int):
        text = (text * (size // max(1, len(text)) + 1))[:size]
        notes = [one for one in notes if _last_index(one) <= size]
    return text, notes


def _last_index(note: Item) -> int:
    return int(note.get("end_index", note.get("index", 0)))


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
        total += tokens("".join(str(item.get(key) or "") for key in ("name", "arguments", "code")))
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
    notes = [one for one in part["annotations"] if _last_index(one) <= size]
    return {**part, "text": part["text"][:size], "annotations": notes}

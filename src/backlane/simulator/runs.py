"""The runs a provider holds: accepted requests whose state follows from the clock, nothing else."""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.schema import Filler
from backlane.simulator.text import input_texts, summary

TERMINAL = frozenset({"completed", "failed", "incomplete", "cancelled"})


@dataclass(slots=True)
class Run:
    """One accepted request. Times are seconds since 1970."""

    id: str
    body: Any
    created_at: float
    starts_at: float
    ends_at: float
    then: dict[str, Any]
    output: list[dict[str, Any]]
    canceled_at: float | None = None
    immune: bool = False
    deleted: bool = False
    flags: dict[str, Any] = field(default_factory=dict[str, Any])

    def status(self, now: float) -> str:
        """The run's status at this time."""
        if self.canceled_at is not None and not self.immune:
            return "cancelled"
        if now < self.starts_at:
            return "queued"
        return "in_progress" if now < self.ends_at else str(self.then.get("status", "completed"))


def mark(seed: int, number: int, kind: str) -> str:
    """An id that the seed and the order of requests decide."""
    return f"{kind}_{hashlib.sha256(f'{seed}:{kind}:{number}'.encode()).hexdigest()[:32]}"


def write_output(body: Any, then: dict[str, Any], run_id: str, seed: int) -> list[dict[str, Any]]:
    """The output items of a run, computed from its request unless a script says otherwise."""
    if "output" in then:
        return then["output"]
    tail = run_id.removeprefix("resp_")
    items: list[dict[str, Any]] = [{"id": f"rs_{tail}", "type": "reasoning", "summary": []}]
    calls = then.get("tool_calls") or _required_calls(body)
    for index, call in enumerate(calls):
        items.append(
            {
                "id": f"fc_{tail}{index}",
                "type": "function_call",
                "call_id": f"call_{tail[:20]}{index}",
                "name": call["name"],
                "arguments": json.dumps(call.get("arguments", {})),
                "status": "completed",
            }
        )
    if not calls:
        items.append(_message(body, then, tail, seed))
    return items


def _required_calls(body: Any) -> list[dict[str, Any]]:
    tools: list[Any] = body.get("tools") or []
    functions = [tool for tool in tools if tool.get("type") == "function"]
    if body.get("tool_choice") != "required" or not functions:
        return []
    filler = Filler(functions[0].get("parameters") or {}, input_texts(body["input"]), random.Random(0))
    return [{"name": functions[0]["name"], "arguments": filler.fill()}]


def _message(body: Any, then: Mapping[str, Any], tail: str, seed: int) -> dict[str, Any]:
    if "refusal" in then:
        content: dict[str, Any] = {"type": "refusal", "refusal": then["refusal"]}
    else:
        text, notes = _written(body, then, tail, seed)
        content = {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}
    return {
        "id": f"msg_{tail}",
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [content],
    }


def _written(body: Any, then: Mapping[str, Any], tail: str, seed: int) -> tuple[str, list[dict[str, Any]]]:
    texts = input_texts(body["input"])
    if "json" in then:
        return json.dumps(then["json"], ensure_ascii=False), list(then.get("citations", []))
    if "text" in then:
        return str(then["text"]), list(then.get("citations", []))
    text: Any = body.get("text") or {}
    form: Any = text.get("format") or {}
    if form.get("type") == "json_schema":
        filler = Filler(form["schema"], texts, random.Random(f"{seed}:{tail}"))
        return json.dumps(filler.fill(), ensure_ascii=False), []
    written = summary(texts, str(body.get("instructions") or ""))
    return written.text, list(then.get("citations", written.annotations))


def tokens(text: str) -> int:
    """About how many tokens a text is."""
    return (len(text) + 3) // 4


def cut(items: list[dict[str, Any]], most: int) -> bool:
    """Shorten a message to at most this many tokens; whether that was needed."""
    for item in items:
        for part in item.get("content", []):
            text = part.get("text", "")
            if tokens(text) > most:
                part["text"] = text[: most * 4]
                part["annotations"] = [
                    one for one in part["annotations"] if one.get("end_index", 0) <= most * 4
                ]
                item["status"] = "incomplete"
                return True
    return False


def halve(items: list[dict[str, Any]]) -> None:
    """Leave half of a message, as a run that stopped early does."""
    written = sum(tokens(part.get("text", "")) for item in items for part in item.get("content", []))
    cut(items, max(1, written // 2))


def usage(run: Run) -> dict[str, Any]:
    """The tokens of a run, from the lengths of its actual texts."""
    if "usage" in run.then:
        return run.then["usage"]
    given = sum(tokens(text) for text in input_texts(run.body["input"]))
    given += tokens(str(run.body.get("instructions") or "")) + 8
    text = "".join(
        str(part.get("text", part.get("refusal", "")))
        for item in run.output
        for part in item.get("content", [])
    )
    reasoning = 16
    written = tokens(text) + reasoning
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": given + written,
    }


def response_of(run: Run, status: str) -> dict[str, Any]:
    """The Response object of a run: the union of what the provider's description and its SDK require."""
    body, ended = run.body, status in ("completed", "incomplete")
    error = None
    if status == "failed":
        code, message = run.then.get("error_code", "server_error"), run.then.get("error_message")
        error = {"code": code, "message": message or "The model failed to generate a response."}
    asked: Any = body.get("text") or {}
    form: Any = asked.get("format") or {"type": "text"}
    if form.get("type") == "json_schema":
        form = {"description": None, **form}
    return {
        "id": run.id,
        "object": "response",
        "created_at": int(run.created_at),
        "status": status,
        "background": bool(body.get("background", False)),
        "completed_at": int(run.ends_at) if status == "completed" else None,
        "error": error,
        "incomplete_details": {"reason": run.then.get("incomplete_reason", "max_output_tokens")}
        if status == "incomplete"
        else None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": run.output if ended else [],
        "parallel_tool_calls": body.get("parallel_tool_calls", True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": "medium", "summary": None, **(body.get("reasoning") or {})},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": _tier(body, run, status),
        "store": body.get("store", True),
        "temperature": body.get("temperature", 1.0),
        "text": {"format": form, "verbosity": "medium"},
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools") or [],
        "top_logprobs": 0,
        "top_p": body.get("top_p", 1.0),
        "truncation": body.get("truncation", "disabled"),
        "usage": _usage_shown(run, status),
        "user": body.get("user"),
    }


def _tier(body: Any, run: Run, status: str) -> str:
    asked = body.get("service_tier") or "auto"
    if status not in TERMINAL:
        return asked
    reported = {"auto": "default", "fast": "priority"}
    return run.then.get("service_tier") or reported.get(asked, asked)


def _usage_shown(run: Run, status: str) -> Any:
    if run.flags.get("missing_usage"):
        return None
    if run.flags.get("garbled_usage"):
        return {"input_tokens": "many", "output_tokens": None}
    if status in ("completed", "incomplete") or (status in TERMINAL and "usage" in run.then):
        return usage(run)
    return None

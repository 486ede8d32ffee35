"""The runs a provider holds: accepted requests whose state follows from the clock, nothing else."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.answers import cut, output_tokens, tokens
from backlane.simulator.hosted import web_requests
from backlane.simulator.switches import Switches
from backlane.simulator.text import input_texts
from backlane.simulator.values import as_list, as_object

TERMINAL = frozenset({"completed", "failed", "incomplete", "cancelled"})


@dataclass(slots=True)
class Run:
    """One accepted request. Times are seconds since 1970."""

    id: str
    body: Mapping[str, Any]
    created_at: float
    starts_at: float
    ends_at: float
    then: dict[str, Any]
    output: list[dict[str, Any]]
    # Tokens of the conversation this run continues; the provider counts them again.
    history_tokens: int = 0
    reasoning_tokens: int = 0
    canceled_at: float | None = None
    # Seconds after its cancel at which the run shows completed all the same.
    revives_after: float | None = None
    deleted: bool = False
    # The faults that shaped it, by name.
    faults: list[str] = field(default_factory=list[str])
    # Its input with the files read, and what was said before it, oldest first.
    given: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    history: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    # Fields of its items that are shown only where a request includes them.
    hidden: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    # The files it read, as the truth log tells of them.
    files: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def status(self, now: float) -> str:
        """The run's status at this time."""
        if self.canceled_at is not None:
            if self.revives_after is None or now < self.canceled_at + self.revives_after:
                return "cancelled"
            return str(self.then.get("status", "completed"))
        if now < self.starts_at:
            return "queued"
        return "in_progress" if now < self.ends_at else str(self.then.get("status", "completed"))

    def ended_at(self) -> float:
        """When it ended, or will end by itself."""
        if self.canceled_at is None:
            return self.ends_at
        return self.canceled_at + (self.revives_after or 0.0)

    @property
    def background(self) -> bool:
        """Whether the caller did not wait for it."""
        return bool(self.body.get("background"))


def mark(seed: int, number: int, kind: str) -> str:
    """An id that the seed and the order of requests decide."""
    return f"{kind}_{hashlib.sha256(f'{seed}:{kind}:{number}'.encode()).hexdigest()[:32]}"


def limit_output(run: Run) -> None:
    """Stop the run where the request's own limit or its script says it stopped."""
    most: Any = run.body.get("max_output_tokens")
    written = output_tokens(run.output)
    if run.then.get("status") == "incomplete":
        run.output = cut(run.output, written // 2)
        if isinstance(most, int):
            run.reasoning_tokens = min(run.reasoning_tokens, most)
            run.output = cut(run.output, most - run.reasoning_tokens)
    elif isinstance(most, int) and written + run.reasoning_tokens > most:
        run.reasoning_tokens = min(run.reasoning_tokens, max(0, most - written))
        if written > most:
            run.output = cut(run.output, most)
            run.then |= {"status": "incomplete", "incomplete_reason": "max_output_tokens"}


def usage_of(run: Run) -> dict[str, Any]:
    """The tokens of a run, from the lengths of its actual texts; a script may replace any of them."""
    said = as_object(run.then.get("usage"))
    given = sum(tokens(text) for text in input_texts(run.given))
    given += tokens(str(run.body.get("instructions") or "")) + 8 + run.history_tokens
    reasoning = int(said.get("reasoning_tokens", run.reasoning_tokens))
    received = int(said.get("input_tokens", given))
    written = int(said.get("output_tokens", output_tokens(run.output) + reasoning))
    return {
        "input_tokens": received,
        "input_tokens_details": {
            "cached_tokens": int(said.get("cached_tokens", 0)),
            "cache_write_tokens": int(said.get("cache_write_tokens", 0)),
        },
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": min(reasoning, written)},
        "total_tokens": received + written,
    }


def carried_tokens(run: Run) -> int:
    """The tokens a follow-up pays again: all but the instructions, which are not carried over."""
    return usage_of(run)["total_tokens"] - tokens(str(run.body.get("instructions") or ""))


def response_of(run: Run, status: str, switches: Switches) -> dict[str, Any]:
    """The Response object of a run: the union of what the provider's description and its SDK require."""
    body, then = run.body, run.then
    error = None
    if status == "failed":
        message = then.get("error_message") or "The model failed to generate a response."
        error = {"code": then.get("error_code") or "server_error", "message": message}
    reason = then.get("incomplete_reason") or "max_output_tokens"
    echoed = {key: body.get(key) for key in ("instructions", "max_output_tokens", "max_tool_calls")}
    shown: dict[str, Any] = {
        "id": run.id,
        "object": "response",
        "created_at": int(run.created_at),
        "status": status,
        "background": run.background,
        "completed_at": int(run.ended_at()) if status == "completed" else None,
        "error": error,
        "incomplete_details": {"reason": reason} if status == "incomplete" else None,
        **echoed,
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": output_shown(run, status, switches),
        "parallel_tool_calls": _or(body.get("parallel_tool_calls"), True),
        "previous_response_id": body.get("previous_response_id"),
        "prompt_cache_key": body.get("prompt_cache_key"),
        "reasoning": {"effort": "medium", "summary": None, **as_object(body.get("reasoning"))},
        "safety_identifier": body.get("safety_identifier"),
        "service_tier": _tier(run, status),
        "store": _or(body.get("store"), True) and not switches.zdr,
        "temperature": _or(body.get("temperature"), 1.0),
        "text": _text_echo(body),
        "tool_choice": _or(body.get("tool_choice"), "auto"),
        "tools": [_tool_echo(as_object(tool)) for tool in as_list(body.get("tools"))],
        "top_logprobs": _or(body.get("top_logprobs"), 0),
        "top_p": _or(body.get("top_p"), 1.0),
        "truncation": _or(body.get("truncation"), "disabled"),
        "usage": _usage_shown(run, status, switches),
        # Never null: the provider's description has it as text or not at all.
        **({"user": body["user"]} if body.get("user") is not None else {}),
    }
    if status in ("completed", "incomplete") and web_requests(run.output):
        shown["tool_usage"] = _tool_usage(web_requests(run.output))
    return shown


def _tool_usage(searches: int) -> dict[str, Any]:
    """What the hosted tools are billed for beside tokens."""
    details = {"image_tokens": 0, "text_tokens": 0}
    pictures = {"input_tokens": 0, "input_tokens_details": details, "output_tokens": 0, "total_tokens": 0}
    return {"image_gen": pictures, "web_search": {"num_requests": searches}}


def _or(value: Any, default: Any) -> Any:
    return default if value is None else value


def _text_echo(body: Mapping[str, Any]) -> dict[str, Any]:
    asked = as_object(body.get("text"))
    form = as_object(asked.get("format")) or {"type": "text"}
    if form.get("type") == "json_schema":
        form = {"strict": None, **form}
    return {"format": form, "verbosity": asked.get("verbosity") or "medium"}


def _tool_echo(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {"description": None, "parameters": None, **tool, "strict": _or(tool.get("strict"), True)}


def output_shown(run: Run, status: str, switches: Switches) -> list[dict[str, Any]]:
    """The items that a run in this status shows."""
    if status in ("completed", "incomplete"):
        return as_cited(run, run.output, switches)
    if status != "cancelled" or run.canceled_at is None:
        return []
    if run.background and not switches.cancel_keeps_output:
        return []
    length = run.ends_at - run.starts_at
    share = max(0.0, run.canceled_at - run.starts_at) / length if length else 0.0
    kept = as_cited(run, cut(run.output, int(output_tokens(run.output) * share)), switches)
    return [{**item, "status": "in_progress"} if item.get("status") else item for item in kept]


def as_cited(run: Run, items: list[dict[str, Any]], switches: Switches) -> list[dict[str, Any]]:
    """The items with their citations counted as the account does; what a script wrote whole stays as it is."""
    whole = "output" in run.then or any(
        "quote" not in as_object(one) for one in as_list(run.then.get("citations"))
    )
    return items if whole or switches.end_index == "exclusive" else [_with_last_index(item) for item in items]


def _with_last_index(item: dict[str, Any]) -> dict[str, Any]:
    if item.get("type") != "message":
        return item
    parts: list[dict[str, Any]] = []
    for part in map(as_object, as_list(item.get("content"))):
        notes = [as_object(note) for note in as_list(part.get("annotations"))]
        moved = [
            {**note, "end_index": max(note["start_index"], note["end_index"] - 1)}
            if "end_index" in note
            else note
            for note in notes
        ]
        parts.append({**part, "annotations": moved} if notes else part)
    return {**item, "content": parts}


def _tier(run: Run, status: str) -> str:
    asked = str(run.body.get("service_tier") or "auto")
    if status not in TERMINAL:
        return asked
    reported = {"auto": "default", "fast": "priority"}
    return str(run.then.get("service_tier") or reported.get(asked, asked))


def _usage_shown(run: Run, status: str, switches: Switches) -> Any:
    if status not in TERMINAL or "missing_usage" in run.faults:
        return None
    if "garbled_usage" in run.faults:
        return {"input_tokens": "many", "output_tokens": None}
    silent = (status == "failed" and not switches.usage_on_failed) or (
        status == "cancelled" and not switches.usage_on_cancelled
    )
    return None if silent and "usage" not in run.then else usage_of(run)

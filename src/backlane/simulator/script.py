"""Scripts: what the next matching responses do instead of what the simulator would compute. First match wins."""

import copy
from dataclasses import dataclass
from typing import Any

from backlane.simulator.faults import read_times
from backlane.simulator.match import Asked, Match
from backlane.simulator.values import as_object

THEN: dict[str, str] = {
    "queued_seconds": "seconds in queued",
    "running_seconds": "seconds in in_progress",
    "text": "the answer's text",
    "text_characters": "the answer's length: the text is repeated or cut to it",
    "json": "the answer as a JSON value",
    "output": "the raw output items",
    "tool_calls": "[{name, arguments}] function calls instead of an answer; arguments may be any text",
    "web_search": "[{url, title, text, query}] the pages found, or false: no search",
    "file_search": "[{file_id, filename, text, score}] what is found, or false: no search",
    "code_interpreter": "{code, logs, container_id, files: [{name, text or base64, cited}]}, or false: no code",
    "mcp": "[{server_label, name, arguments, output, error, approval}] calls, or false: none",
    "mcp_error": "the error object of every MCP call",
    "mcp_list_error": "why the tools of MCP servers cannot be listed",
    "citations": "[{quote, url, title}] or whole annotations",
    "usage": "{input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens}",
    "status": "completed, failed, incomplete or cancelled",
    "error_code": "of a failed run",
    "error_message": "of a failed run",
    "incomplete_reason": "max_output_tokens or content_filter",
    "refusal": "the refusal's text",
    "service_tier": "the tier the ended run reports",
}
_STATUSES = ("completed", "failed", "incomplete", "cancelled")


@dataclass(slots=True)
class Rule:
    """One entry of a script."""

    match: Match
    then: dict[str, Any]
    times: int | None


def read_rule(given: dict[str, Any]) -> Rule:
    """A rule as the control surface takes it. Raises ValueError naming what is wrong."""
    for key in given:
        if key not in ("match", "then", "times"):
            raise ValueError(f"unknown key {key!r}; a rule has match, then, times")
    if not isinstance(given.get("then"), dict):
        raise ValueError("a rule needs `then`, an object")
    then = as_object(given["then"])
    for key in then:
        if key not in THEN:
            raise ValueError(f"unknown then {key!r}; known: {', '.join(THEN)}")
    if then.get("status", "completed") not in _STATUSES:
        raise ValueError(f"then.status must be one of {', '.join(_STATUSES)}")
    return Rule(Match.read(given.get("match")), then, read_times(given))


class Script:
    """The rules that wait for a create."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, rule: Rule) -> None:
        """One more rule, after the others."""
        self._rules.append(rule)

    def take(self, asked: Asked) -> dict[str, Any]:
        """What the first matching rule says, used up once; empty without one."""
        for rule in self._rules:
            if rule.match.meets(asked):
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                return copy.deepcopy(rule.then)
        return {}

    def __len__(self) -> int:
        return len(self._rules)

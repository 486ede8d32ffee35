"""Does the simulator speak as an OpenAPI file says? `make check-spec FILE=openapi.yaml`; exit 1 if it does not."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tools.spec_calls import walk  # noqa: E402
from tools.spec_judge import Description, Exchange, Violation  # noqa: E402

# What may differ, and why: a pattern over the whole line of a violation.
ALLOWED: dict[str, str] = {
    r"(answer 200|event \S+) (/response)?/usage: None is not": "null until a run has ended, as its own examples are",
    r"answer 404 /: '\w+' is a required property": "errors are wrapped on the wire; the client takes both forms",
    r"event error /: '(code|message|param)' is a required property": "the nested shape, as reported of the real one",
    r"(request /input|answer 200 /data)/\d+: 'request_id' is a required property": (
        "required there, yet it is no property of the item: the official client has `approval_request_id` alone"
    ),
    r"request /input/\d+: fits more than one alternative": "the description's alternatives overlap for a plain message",
}


def check(description: Description, calls: Iterable[Exchange], hooks: Iterable[Any]) -> tuple[list[str], int]:
    """The lines to print, and how many violations nobody has explained."""
    asked: dict[str, list[Exchange]] = {}
    for call in calls:
        label = description.operation(call.method, call.path)
        asked.setdefault(label or f"{call.method} {call.path} (not described)", []).append(call)
    lines: list[str] = []
    open_count = 0
    for label, made in sorted(asked.items()):
        found = [one for call in made for one in description.judge(call)]
        statuses = Counter(call.status for call in made)
        told = ", ".join(f"{status} x{count}" for status, count in sorted(statuses.items()))
        events = sum(len(call.events) for call in made)
        counts = f"{sum(call.body is not None for call in made)} request bodies, {len(made)} answers ({told})"
        told = f"{label}: {counts}, {events} events" if events else f"{label}: {counts}"
        open_count += _tell(lines, told, found)
    for kind, sent in sorted(_by_type(hooks).items()):
        found = [one for event in sent for one in description.judge_webhook(event)]
        open_count += _tell(lines, f"webhook {kind}: {len(sent)} sent", found)
    return lines, open_count


def _by_type(hooks: Iterable[Any]) -> dict[str, list[Any]]:
    sent: dict[str, list[Any]] = {}
    for event in hooks:
        sent.setdefault(str(event["type"]), []).append(event)
    return sent


def _tell(lines: list[str], told: str, found: list[Violation]) -> int:
    """Each violation once, with its count and, where there is one, its explanation."""
    unexplained = 0
    counted = Counter(map(str, found))
    lines.append(f"{told}, {len(found)} violations")
    for violation, count in sorted(counted.items()):
        why = next((why for pattern, why in ALLOWED.items() if re.search(pattern, violation)), None)
        unexplained += count if why is None else 0
        lines.append(f"  {violation} (x{count})" + (f" [allowed: {why}]" if why else ""))
    return unexplained


def main(arguments: list[str]) -> int:
    """Walk, judge, print; the exit code."""
    if len(arguments) != 1:
        print("usage: make check-spec FILE=openapi.yaml", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    if not path.is_file():
        print(f"check-spec: there is no file {path}", file=sys.stderr)
        return 2
    lines, open_count = check(Description(path), *walk())
    print("\n".join(lines))
    print(f"check-spec: {open_count} unexplained violations")
    return 1 if open_count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

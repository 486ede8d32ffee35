"""The events of a run's stream: what they say and when each is due. Run, switches and seed decide all of it."""

import json
import random
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backlane.simulator.runs import Run, as_cited, response_of
from backlane.simulator.stream_items import Cutter, Step, item_steps
from backlane.simulator.switches import Switches
from backlane.simulator.values import as_object

_LETTERS = string.ascii_letters + string.digits
_LONGEST_PAD = 16


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its number, the second since 1970 at which it is due, and what it says."""

    number: int
    due: float
    body: Mapping[str, Any]


def events_of(run: Run, switches: Switches, seed: int) -> list[Event]:
    """Everything the run's stream says from its first event to its last, also what is not due yet."""
    ended = str(run.then.get("status", "completed"))
    shown = response_of(run, ended, switches)
    cutter = Cutter(random.Random(f"{seed}:{run.id}:pieces"), switches.delta_characters)
    items = shown["output"] or as_cited(run, run.output, switches)
    steps = [step for index, item in enumerate(items) for step in item_steps(item, index, cutter)]
    if ended not in ("completed", "incomplete"):
        # It broke off half-way; what it had written is no part of its output.
        steps = steps[: len(steps) // 2]
    dated = [*_opening(run, switches), *_spread(run, steps)]
    _add_unknown(run, dated)
    if run.canceled_at is not None:
        moment, ended = run.canceled_at, "cancelled"
        dated = [(due, step) for due, step in dated if due <= moment]
        shown = response_of(run, ended, switches)
    else:
        moment = run.ends_at
    dated += [(moment, step) for step in _ending(ended, shown, switches)]
    return [
        Event(number, due, {"type": kind, "sequence_number": number, **fields})
        for number, (due, (kind, fields)) in enumerate(dated, switches.first_number)
    ]


def _opening(run: Run, switches: Switches) -> list[tuple[float, Step]]:
    first = "queued" if run.background else "in_progress"
    begun = response_of(run, first, switches)
    dated: list[tuple[float, Step]] = [(run.created_at, ("response.created", {"response": begun}))]
    if run.background:
        dated.append((run.created_at, ("response.queued", {"response": begun})))
    working = response_of(run, "in_progress", switches)
    return [*dated, (run.starts_at, ("response.in_progress", {"response": working}))]


def _spread(run: Run, steps: list[Step]) -> Iterable[tuple[float, Step]]:
    """The steps, evenly over the run's running time."""
    length, count = run.ends_at - run.starts_at, len(steps) + 1
    return [(run.starts_at + length * place / count, step) for place, step in enumerate(steps, 1)]


def _add_unknown(run: Run, dated: list[tuple[float, Step]]) -> None:
    given = as_object(run.then.get("unknown_event"))
    if given:
        place = min(int(given["after"]) + 1, len(dated))
        step = (str(given["type"]), as_object(given.get("fields")))
        dated.insert(place, (dated[max(0, place - 1)][0], step))


def _ending(ended: str, shown: dict[str, Any], switches: Switches) -> list[Step]:
    if ended != "cancelled":
        return [(f"response.{ended}", {"response": shown})]
    if switches.cancelled_stream == "nothing":
        return []
    return [(f"response.{switches.cancelled_stream}", {"response": shown})]


def frame(event: Event, pad: str | None = None) -> bytes:
    """The event on the wire; a pad hides how long a delta is."""
    body = dict(event.body)
    if pad is not None and str(body["type"]).endswith(".delta"):
        body["obfuscation"] = pad
    return written_frame(str(body["type"]), body)


def written_frame(kind: str, body: Mapping[str, Any]) -> bytes:
    """One frame of server-sent events."""
    told = json.dumps(body, separators=(",", ":"))
    return f"event: {kind}\ndata: {told}\n\n".encode()


def pad_of(seed: int, run_id: str, number: int) -> str:
    """A pad that looks random and is the same each time."""
    chance = random.Random(f"{seed}:{run_id}:{number}:pad")
    return "".join(chance.choices(_LETTERS, k=chance.randint(1, _LONGEST_PAD)))


def error_frame(number: int, error: Mapping[str, Any], *, nested: bool) -> bytes:
    """The `error` event in one of its two shapes; `error` has type, code, message and param."""
    body: dict[str, Any] = {"type": "error", "sequence_number": number}
    if nested:
        body["error"] = dict(error)
    else:
        body |= {key: error.get(key) for key in ("code", "message", "param")}
    return written_frame("error", body)

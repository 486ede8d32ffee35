"""Reading a create as a turn of a conversation: its files, its references, what was said before. It keeps nothing."""

from collections.abc import Iterable, Mapping
from typing import Any

from backlane.simulator.attached import check_attached, read_items
from backlane.simulator.conversation import Item, Turn, input_of
from backlane.simulator.files import Files
from backlane.simulator.protocol import Refusal
from backlane.simulator.runs import Run, output_shown
from backlane.simulator.switches import Switches


def history_of(run: Run, status: str, switches: Switches) -> list[Item]:
    """Everything said up to the end of this run, oldest first; instructions are not part of it."""
    return [*run.history, *run.given, *output_shown(run, status, switches)]


def read_turn(
    body: Mapping[str, Any],
    history: list[Item],
    held: Iterable[Run],
    files: Files,
    now: float,
    switches: Switches,
) -> Turn:
    """The turn. Raises Refusal for a file or an item that is not there, and for files nobody takes."""
    given = _resolved(input_of(body), held)
    items, found = read_items(given, files, now)
    refuses = switches.unreadable_files == "refuse"
    problem = check_attached(found, most=switches.input_file_bytes, refuses=refuses)
    return Turn(body, items, history, [one.line() for one in found], problem)


def _resolved(given: list[Item], held: Iterable[Run]) -> list[Item]:
    """The items with those in place that are only named."""
    if not any(item.get("type") == "item_reference" for item in given):
        return given
    known = {item.get("id"): item for run in held for item in run.output}
    resolved: list[Item] = []
    for item in given:
        if item.get("type") == "item_reference":
            if item.get("id") not in known:
                raise Refusal(400, f"Item with id '{item.get('id')}' not found.", param="input")
            item = known[item["id"]]  # noqa: PLW2901
        resolved.append(item)
    return resolved

"""docs/failures.md is an inventory, not a story: what it names exists, and what exists is in it."""

import dataclasses
import re
from pathlib import Path

from backlane.simulator.faults import FAULTS
from backlane.simulator.script import THEN
from backlane.simulator.switches import Switches

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "failures.md").read_text()
SWITCHES = {field.name for field in dataclasses.fields(Switches)}


def named(kind: str) -> set[str]:
    return set(re.findall(rf"{kind} `(\w+)`", PAGE))


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.splitlines() if line.startswith("| ")]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in lines
        if not line.startswith("| shape")
    ]


def test_every_fault_and_switch_is_in_the_inventory_and_exists() -> None:
    assert named("fault") == set(FAULTS)
    assert named("switch") == SWITCHES
    assert named("script") <= set(THEN)


def test_every_row_names_a_test_that_exists() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(rows()) > 40
    for row in rows():
        assert len(row) == 4, row
        name = re.fullmatch(r"`(test_\w+)`", row[3])
        assert name is not None, row
        assert re.search(rf"def {name[1]}\(", tests), name[1]


def test_every_numbered_fault_of_creates_looks_streams_and_webhooks_has_a_row() -> None:
    # The numbers are those of the product's fault list.
    wanted = {*range(36, 51), *range(53, 68), 69, 70, 108}
    assert {int(number) for number in re.findall(r"\bF(\d+)\b", PAGE)} == wanted

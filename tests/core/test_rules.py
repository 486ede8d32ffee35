"""Load-bearing rules that can be read off the code: time, ids, chance and the outside come in by argument."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import backlane

ROOT = Path(backlane.__file__).parent
# Rooms that run under a virtual clock with a seed.
ROOMS = ("core", "service", "engine", "verify")
# What brings the machine's own time, chance or the network in. `wiring.py` alone makes them real.
FORBIDDEN = {
    "time",
    "random",
    "secrets",
    "uuid",
    "typeid",
    "socket",
    "subprocess",
    "threading",
    "httpx2",
    "openai",
}
FROM_THE_MACHINE = {"now", "utcnow", "today"}


def breaches(source: str) -> Iterator[str]:
    """What in this source reaches past its arguments."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id in ("datetime", "date") and node.attr in FROM_THE_MACHINE:
                yield f"line {node.lineno}: {node.value.id}.{node.attr}"
            if (node.value.id, node.attr) in {("asyncio", "sleep"), ("os", "urandom"), ("os", "environ")}:
                yield f"line {node.lineno}: {node.value.id}.{node.attr}"
            continue
        else:
            continue
        for name in names:
            if name.split(".")[0] in FORBIDDEN:
                yield f"line {node.lineno}: import {name}"


@pytest.mark.parametrize("room", ROOMS)
def test_time_ids_and_chance_come_in_by_argument(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    found = [f"{path.relative_to(ROOT)} {one}" for path in files for one in breaches(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "import time",
        "from random import random",
        "import uuid as ids",
        "from secrets import token_hex",
        "x = datetime.now()",
        "x = date.today()",
        "await asyncio.sleep(1)",
        "x = os.urandom(8)",
        "def f():\n    import time\n",
    ],
)
def test_a_breach_is_seen(line: str) -> None:
    assert list(breaches(line if not line.startswith("await") else f"async def f():\n    {line}\n"))

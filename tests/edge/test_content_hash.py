"""A policy's version is its content: what it says, calls and limits itself to; not where or when it runs."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from backlane.content_hash import content_hash

BASE = """
from collections import deque
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from types import SimpleNamespace
from uuid import UUID

import house
import limits
import limits as alias
from pydantic import BaseModel
from pydantic_settings import BaseSettings

LIMIT = Decimal("100")
FRIENDS = frozenset({"ana", "bo", "cy", "dee"})
TABLE = {"eu": [1, 2], "us": [3]}
LOW, HIGH = [10], [20]
LEVELS = {"eu": LOW, "us": HIGH}


@dataclass(frozen=True)
class Rule:
    most: int = 3

    def twice(self):
        return self.most * 2


RULE = Rule()


class Shelf:
    def size(self):
        return 30


class Book(Shelf):
    __slots__ = ("page",)

    def __init__(self, title=None, page=0):
        self.title = title
        self.page = page

    def has(self, name):
        return name in FRIENDS


class Settings(BaseSettings):
    quota: int = 40
    _spare: int = 50


class Ask(BaseModel):
    least: int

    def is_met(self):
        return self.least > 60


class Level(Enum):
    TOP = limits.TOP


SETTINGS = Settings(quota=41)
ASK = Ask(least=61)
SPACE = SimpleNamespace(edge=[70], inner=SimpleNamespace(edge=71))
BOOK = Book("a title", 72)
ROUND = [BOOK]
BOOK.among = ROUND
BOOKS = {Book("one", 73), Book("two", 74)}
PART = partial(limits.over, most=75)
BOUND = Book("bound").has
KNOWN = ["zoe"].__contains__
QUEUE = deque([76])
SHOP = UUID(int=77)
SPAN = range(78)
TOP = Level.TOP


def helper(value):
    return value <= LIMIT


def inner(least):
    def over(asked):
        return [one for one in asked if one > least]

    return over


OVER = inner(1)
MORE, MOST = inner(80), inner(81)
WAYS = {"eu": MORE, "us": MOST}


@cache
def remembered():
    return 90


def rule(asked, *, strict=True):
    from house.cellar import deep
    from house import attic

    other = alias
    things = (SETTINGS, ASK, SPACE, BOOK, BOOKS, PART, BOUND, KNOWN, QUEUE, SHOP, SPAN, TOP, LEVELS, LOW, HIGH)
    rest = (MORE, MOST, WAYS, remembered, deep, attic.HATCH, house.hall.WIDTH, other.LEAST)
    if limits.judge(asked) or limits.MAX or house.rooms.kitchen.KNIVES:
        return helper(asked) and Book().has("ana") and TABLE and RULE.most and OVER([1]) and strict


unrelated = 1
"""
LIMITS = """
import sys

MAX = 100
LEAST = 101
TOP = 102
UNNAMED = 103


def judge(asked):
    return asked <= bound() and sys.maxsize


def bound():
    return 104


def over(asked, most):
    return asked > most + 105
"""
HOUSE = """
import house.hall
import house.rooms.kitchen
"""
# What the policy uses of its project, file by file.
FILES = {
    "rules.py": BASE,
    "limits.py": LIMITS,
    "house/__init__.py": HOUSE,
    "house/hall.py": "WIDTH = 200\n",
    "house/attic.py": "HATCH = 201\n",
    "house/cellar.py": "def deep():\n    from . import attic\n    return attic.LADDER\n",
    "house/rooms/__init__.py": "",
    "house/rooms/kitchen.py": "KNIVES = 203\n",
}
FILES["house/attic.py"] += "LADDER = 202\n"
CHANGES = [
    ('LIMIT = Decimal("100")', 'LIMIT = Decimal("101")'),
    ('"cy", ', ""),
    ('"us": [3]', '"us": [4]'),
    ("most: int = 3", "most: int = 4"),
    ("RULE = Rule()", "RULE = Rule(5)"),
    ("value <= LIMIT", "value < LIMIT"),
    ("name in FRIENDS", "True"),
    ("OVER = inner(1)", "OVER = inner(2)"),
    ("one > least", "one >= least"),
    ("strict=True", "strict=False"),
    ("and strict", "or strict"),
    # A helper module: its function, what that calls, a limit of it, one under another name.
    ("asked <= bound()", "asked < bound()"),
    ("return 104", "return 105"),
    ("MAX = 100", "MAX = 101"),
    ("LEAST = 101", "LEAST = 102"),
    # Modules in packages, and those that are only imported when the policy runs.
    ("WIDTH = 200", "WIDTH = 201"),
    ("HATCH = 201", "HATCH = 202"),
    ("LADDER = 202", "LADDER = 203"),
    ("KNIVES = 203", "KNIVES = 204"),
    # Objects, by their class and what they hold.
    ("quota=41", "quota=42"),
    ("_spare: int = 50", "_spare: int = 51"),
    ("least=61", "least=62"),
    ("self.least > 60", "self.least > 61"),
    ("edge=[70]", "edge=[71]"),
    ("edge=71", "edge=72"),
    ("a title", "another title"),
    ('"a title", 72', '"a title", 73'),
    ('"one", 73', '"one", 74'),
    ('Book("bound")', 'Book("free")'),
    ("self.most * 2", "self.most * 3"),
    ("return 30", "return 31"),
    ("most=75", "most=76"),
    ("most + 105", "most + 106"),
    ('["zoe"]', '["zac"]'),
    ("deque([76])", "deque([77])"),
    ("UUID(int=77)", "UUID(int=78)"),
    ("range(78)", "range(79)"),
    ("TOP = 102", "TOP = 103"),
    ("return 90", "return 91"),
    # The same parts, in each other's place.
    ('"eu": LOW, "us": HIGH', '"eu": HIGH, "us": LOW'),
    ('"eu": MORE, "us": MOST', '"eu": MOST, "us": MORE'),
]


def version_of(
    folder: Path, files: dict[str, str], declared: str = "one", seed: str = "0", also: str = ""
) -> str:
    for name, source in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    code = f"""
        {also}
        import rules
        from backlane.content_hash import content_hash
        print(content_hash([({declared!r}, rules.rule)]))
    """
    src = Path(__file__).parents[2] / "src"
    environment = {"PYTHONPATH": f"{src}:{folder}", "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def changed(old: str, new: str) -> dict[str, str]:
    """The files with this in one place of theirs."""
    assert sum(source.count(old) for source in FILES.values()) == 1, old
    return {name: source.replace(old, new) for name, source in FILES.items()}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The version as it is."""
    return version_of(tmp_path_factory.mktemp("first"), FILES)


def test_it_is_the_same_in_every_process_and_wherever_the_code_lies(tmp_path: Path, first: str) -> None:
    for seed in ("1", "2", "3"):
        moved = {**FILES, "rules.py": "\n" * int(seed) + BASE}
        assert version_of(tmp_path / seed, moved, seed=seed, also="waste = [object()] * 1000") == first
    assert version_of(tmp_path / "b", changed("unrelated = 1", "unrelated = 2"), seed="3") == first
    assert version_of(tmp_path / "c", changed("UNNAMED = 103", "UNNAMED = 104")) == first
    assert version_of(tmp_path / "d", FILES, declared="two") != first


def test_what_else_a_process_has_loaded_is_no_part_of_it(tmp_path: Path) -> None:
    shop = {
        "rules.py": "import shop.limits\n\ndef rule(asked):\n    return asked.job < shop.limits.MAX\n",
        "shop/__init__.py": "", "shop/limits.py": "MAX = 1\n", "shop/job.py": "MAX = 2\n",
    }  # fmt: skip
    assert version_of(tmp_path, shop) == version_of(tmp_path, shop, also="import shop.job")


def test_a_project_that_is_installed_as_a_package_is_a_project(tmp_path: Path) -> None:
    installed = f"import backlane.code_names as names; names._INSTALLED += ({str(tmp_path.resolve())!r},)"
    shop = {
        "rules.py": "from shop.rules import rule\n",
        "shop/__init__.py": "",
        "shop/rules.py": "import other\nfrom . import limits\n\ndef rule(_):\n    return limits.MAX, other.MAX\n",
        "shop/limits.py": "MAX = 1\n",
        "other.py": "MAX = 1\n",
    }
    known = version_of(tmp_path, shop, also=installed)
    assert version_of(tmp_path, {**shop, "other.py": "MAX = 2\n"}, also=installed) == known
    assert version_of(tmp_path, {**shop, "shop/limits.py": "MAX = 2\n"}, also=installed) != known


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_what_it_depends_on_changes_it(tmp_path: Path, first: str, old: str, new: str) -> None:
    assert version_of(tmp_path, changed(old, new)) != first


def test_code_without_a_file_has_a_version_too() -> None:
    def made(limit: int) -> str:
        scope: dict[str, object] = {"LIMIT": limit}
        exec("def rule(asked):\n    return asked < LIMIT or any(one > 1 for one in asked)\n", scope)
        return content_hash([("one", scope["rule"])])  # type: ignore[list-item]

    assert made(1) == made(1) != made(2)


def told(**named: Any) -> str:
    """The version of a policy that names these."""
    scope: dict[str, Any] = {"__name__": "rules", **named}
    exec(f"def rule(asked):\n    return {', '.join(named)}\n", scope)
    return content_hash([("one", scope["rule"])])


def test_what_cannot_be_told_breaks_nothing() -> None:
    class Odd:
        @property
        def __dict__(self) -> Any:  # type: ignore[override]
            raise RuntimeError("no")

    class Chain:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

    chain: Any = None
    for _ in range(50_000):
        chain = Chain(chain)
    twins: Any = ()
    for _ in range(60):
        twins = (twins, twins)
    huge = [[number] for number in range(200_000)]
    for one in (
        Odd(),
        chain,
        twins,
        huge,
        {"all": huge},
        "long" * 10_000_000,
        10**5000,
        threading.Lock(),
        sys,
    ):
        assert told(one=one, other=1) == told(one=one, other=1) != told(one=one, other=2)
    # Only its class counts, not its many parts; so it is for what breaks.
    assert told(one=huge) == told(one=[*huge, 1]) != told(one=huge[:10]) != told(one=huge[:11])


def test_a_long_row_of_calls_is_followed_to_its_end() -> None:
    def row(last: int) -> str:
        scope: dict[str, Any] = {"__name__": "rules", "f400": lambda: last}
        for number in range(400):
            exec(f"def f{number}(asked):\n    return f{number + 1}(asked)\n", scope)
        return content_hash([("one", scope["f0"])])

    assert row(1) == row(1) != row(2)


def test_what_lives_outside_the_project_is_known_by_its_class() -> None:
    from os import environ

    assert told(environ=environ) == told(environ=type(environ)({}, *[str] * 4))
    assert told(one=SecretStr("a")) == told(one=SecretStr("b"))

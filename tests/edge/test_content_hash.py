"""A policy's version is its content: what it says, calls and limits itself to; not where or when it runs."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

BASE = """
from dataclasses import dataclass
from decimal import Decimal

LIMIT = Decimal("100")
FRIENDS = frozenset({"ana", "bo", "cy", "dee"})
TABLE = {"eu": [1, 2], "us": [3]}


@dataclass(frozen=True)
class Rule:
    most: int = 3


RULE = Rule()


class Book:
    def has(self, name):
        return name in FRIENDS


def helper(value):
    return value <= LIMIT


def inner():
    least = 1

    def over(asked):
        return [one for one in asked if one > least]

    return over


OVER = inner()


def rule(asked, *, strict=True):
    return helper(asked) and Book().has("ana") and TABLE and RULE.most and OVER([1]) and strict


unrelated = 1
"""
CHANGES = [
    ('LIMIT = Decimal("100")', 'LIMIT = Decimal("101")'),
    ('"cy", ', ""),
    ('"us": [3]', '"us": [4]'),
    ("most: int = 3", "most: int = 4"),
    ("RULE = Rule()", "RULE = Rule(5)"),
    ("value <= LIMIT", "value < LIMIT"),
    ("name in FRIENDS", "True"),
    ("least = 1", "least = 2"),
    ("one > least", "one >= least"),
    ("strict=True", "strict=False"),
    ("and strict", "or strict"),
]


def version_of(folder: Path, source: str, declared: str = "one", seed: str = "0") -> str:
    (folder / "rules.py").write_text(source)
    code = f"""
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


def test_it_is_the_same_in_every_process_and_wherever_the_code_lies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = version_of(tmp_path / "a", BASE, seed="1")
    assert version_of(tmp_path / "b", "\n\n" + BASE, seed="2") == first
    assert version_of(tmp_path / "b", BASE.replace("unrelated = 1", "unrelated = 2"), seed="3") == first
    assert version_of(tmp_path / "b", BASE, declared="two") != first


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_what_it_depends_on_changes_it(tmp_path: Path, old: str, new: str) -> None:
    assert BASE.count(old) == 1
    assert version_of(tmp_path, BASE) != version_of(tmp_path, BASE.replace(old, new))


def test_code_without_a_file_has_a_version_too() -> None:
    from backlane.content_hash import content_hash

    def made(limit: int) -> str:
        scope: dict[str, object] = {"LIMIT": limit}
        exec("def rule(asked):\n    return asked < LIMIT or any(one > 1 for one in asked)\n", scope)
        return content_hash([("one", scope["rule"])])  # type: ignore[list-item]

    assert made(1) == made(1) != made(2)

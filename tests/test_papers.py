"""The papers say what the code does: pages are drawn, commands and routes exist, snippets run, links lead on."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backlane.cli.main import app as command_line
from backlane.core.case import OPENS_BY_DEFAULT
from backlane.core.job import Status
from backlane.core.lane import Lane
from tests.conftest import Place

ROOT = Path(__file__).parents[1]
PAPERS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (path.name, body)
        for path in PAPERS
        for found, body in BLOCK.findall(path.read_text())
        if found == kind
    ]


def test_drawn_pages_are_up_to_date() -> None:
    result = subprocess.run(
        [sys.executable, "tools/draw_docs.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout


def test_every_command_in_the_papers_exists() -> None:
    seen = 0
    for name, body in blocks("console"):
        for line in body.splitlines():
            words = line.split("#")[0].split()
            start = next((n for n, word in enumerate(words) if word.endswith("backlane")), None)
            if start is None:
                continue
            command = words[start + 1]
            assert command in command_line, f"{name}: {line}"
            path = [word for word in words[start + 1 : start + 3] if word.isalpha()]
            options = [word for word in words[start + 2 :] if word.startswith("--")]
            shown = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "backlane.cli",
                    *(path if command in ("keys", "budgets") else [command]),
                    "--help",
                ],
                capture_output=True,
                text=True,
                check=False,
                cwd=ROOT,
            )
            assert all(option in shown.stdout for option in options), f"{name}: {line}"
            seen += 1
    assert seen >= 8


async def test_the_calling_page_lists_the_routes_that_are_served(place: Place) -> None:
    page = (ROOT / "docs" / "calling.md").read_text()
    listed = set(re.findall(r"`(GET|POST|PUT|PATCH|DELETE) (/[\w/{}-]+)`", page))
    paths = place.app().openapi()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert listed == served


@pytest.mark.parametrize("page", ["README.md", "declaring.md", "actions.md", "policies.md"])
def test_snippets_that_declare_job_types_run(page: str) -> None:
    ran = 0
    for name, body in blocks("python"):
        if name == page and "@app.job" in body:
            exec(compile(body, page, "exec"), {"__name__": "snippet"})
            ran += 1
    assert ran == 1


def test_the_supporting_page_tells_the_defaults_of_what_opens_a_case() -> None:
    page = (ROOT / "docs" / "supporting.md").read_text()
    told = dict(re.findall(r"^\| `(\w+)`.*? \| (yes|no) \|", page, re.MULTILINE))
    assert {word: told.get(word) == "yes" for word in OPENS_BY_DEFAULT} == dict(OPENS_BY_DEFAULT)
    assert {word for word, opens in told.items() if opens == "yes"} <= OPENS_BY_DEFAULT.keys()


def test_links_lead_somewhere() -> None:
    for path in PAPERS:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_glossary_knows_every_status_and_lane() -> None:
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    for word in (*Status, *Lane):
        assert word in glossary


def test_no_tracked_text_names_a_machine_or_a_package_host() -> None:
    machines = re.compile("|".join(["/" + "work/", "/" + "tmp/w", "py" + "pi.org", "npm" + "js"]))
    for path in ROOT.rglob("*"):
        inside = path.relative_to(ROOT).parts
        if inside[0] == "build" or any(part.startswith(".") or part == "__pycache__" for part in inside):
            continue
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".txt", ".json", ""):
            assert not machines.search(path.read_text(errors="replace")), path


def test_the_proof_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "proof.md").read_text()
    named = re.findall(r"`(tests/\w+/\w+\.py)(?:::(\w+))?`", page)
    assert len(named) > 20
    for file, test in named:
        assert (ROOT / file).is_file(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"

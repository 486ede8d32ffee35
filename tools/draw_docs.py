"""Draw the pages that tell what the code says: lifecycle, data, errors, settings. `--check` fails on a difference."""

import pathlib
import sys
from collections.abc import Iterator

from backlane import errors
from backlane.api.problems import STATUS, status_of
from backlane.cli.main import exit_code
from backlane.core.event import EVENT_TYPES, OPEN_KEYS
from backlane.core.job import Status
from backlane.core.lifecycle import TABLE, TERMINAL
from backlane.core.meaning import MEANINGS
from backlane.core.verb import VERBS, Verb
from backlane.settings import Settings
from backlane.store import rooms
from backlane.store.rooms import metadata

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs"
ROOMS = tuple(room.__name__ for room in rooms.ROOMS)
NOTE = "<!-- Drawn by `make docs`; change the code, not this page. -->\n"


def lifecycle() -> Iterator[str]:
    """Every command, the diagram, and the verbs of people."""
    yield "# The life of a job\n"
    yield NOTE
    yield "One table decides it: `backlane.core.lifecycle.TABLE`. What is not in it cannot happen.\n"
    yield "```mermaid\nstateDiagram-v2"
    for command, row in TABLE.items():
        for source, target in row.moves.items():
            if source != target:
                yield f"    {source or '[*]'} --> {target}: {command}"
    for status in Status:
        if status in TERMINAL:
            yield f"    {status} --> [*]"
    yield "```\n"
    yield "| command | from | to | phases | event | what it says |\n|---|---|---|---|---|---|"
    for command, row in TABLE.items():
        sources = ", ".join(f"`{source}`" if source else "—" for source in row.moves)
        targets = ", ".join(sorted({f"`{target}`" for target in row.moves.values()}))
        same = all(source == target for source, target in row.moves.items())
        phases = ", ".join(sorted(f"`{phase}`" for phase in row.phases if phase)) or "none: it has ended"
        yield f"| `{command}` | {sources} | {'the same' if same else targets} | {phases} | `{row.event}` | {row.says} |"
    terminal = ", ".join(f"`{status}`" for status in Status if status in TERMINAL)
    yield f"\nTerminal, computed as what nothing leads out of: {terminal}.\n"
    yield "## What people may do\n"
    yield "| verb | who | while it is | but not in phase | and only if it is |\n|---|---|---|---|---|"
    for verb, rule in VERBS.items():
        statuses = ", ".join(f"`{status}`" for status in Status if status in rule.statuses)
        only = "".join(f" (phase `{phase}`)" for phase in sorted(rule.phases or ()))
        only += f" (open ones in the lane `{rule.lane}`)" if rule.lane else ""
        never = ", ".join(f"`{phase}`" for phase in sorted(rule.not_phases)) or "—"
        yield f"| {verb} | {', '.join(sorted(rule.who))} | {statuses}{only} | {never} | {_only_if(rule)} |"
    yield (
        "\nWho: the requester is who submitted the job, operators include admins, a reviewer is whoever may decide "
        "the open review (its role, duties separated), an onlooker a reviewer who has the job in sight, an end user "
        "whom a service submitted it for, with a token."
    )
    yield "\n## Events\n"
    yield "The closed list of event types: " + ", ".join(f"`{name}`" for name in EVENT_TYPES) + ".\n"
    yield (
        "Of an event's `data`, a reader outside the release gate sees only: "
        + ", ".join(f"`{key}`" for key in sorted(OPEN_KEYS))
        + "."
    )


def _only_if(rule: Verb) -> str:
    lane = [f"in the {rule.lane} lane, or ended"] if rule.lane else []
    return ", ".join([*([rule.mark] if rule.mark else []), *lane]) or "—"


def data() -> Iterator[str]:
    """Every table and column."""
    yield "# The data\n"
    yield NOTE
    yield "Times are milliseconds since 1970 UTC, money is a decimal string, ids carry their kind and sort by time.\n"
    for table in sorted(metadata.tables.values(), key=lambda one: one.name):
        yield f"## {table.name}\n\n{table.comment}\n"
        yield "| column | type | null | meaning |\n|---|---|---|---|"
        for column in table.columns:
            keys = ["key"] if column.primary_key else []
            keys += [f"→ {key.target_fullname}" for key in column.foreign_keys]
            meaning = "; ".join([*keys, *([column.comment] if column.comment else [])])
            yield f"| `{column.name}` | {str(column.type).lower()} | {'yes' if column.nullable else 'no'} | {meaning} |"
        yield ""


def error_page() -> Iterator[str]:
    """The error tree, and what failures of jobs mean."""
    yield "# Errors\n"
    yield NOTE
    yield "Errors are `application/problem+json` over HTTP and one line on the command line.\n"
    yield "| code | HTTP | exit | meaning | what to do |\n|---|---|---|---|---|"
    for kind in sorted(STATUS, key=lambda one: (status_of(one.__new__(one)), one.code)):
        meaning = " ".join((kind.__doc__ or "").split())
        yield f"| `{kind.code}` | {STATUS[kind]} | {_exit(kind)} | {meaning} | {kind.hint} |"
    yield "\n## Why a job failed\n"
    yield "`failure.code` of a Job; a code that is not listed is the provider's own and means a failed run.\n"
    yield "| code | cause | sentence | retry helps | a person is needed |\n|---|---|---|---|---|"
    for code, what in MEANINGS.items():
        helps, needed = "yes" if what.retryable else "no", "yes" if what.human_needed else "no"
        yield f"| `{code}` | {what.cause} | {what.sentence} | {helps} | {needed} |"


def _exit(kind: type[errors.BacklaneError]) -> int:
    if issubclass(kind, errors.Refusal | errors.ServiceError):
        return exit_code(errors.ServiceError("", status=STATUS[kind]))
    return exit_code(kind.__new__(kind))


def settings() -> Iterator[str]:
    """Every setting with its default."""
    yield "# Settings\n"
    yield NOTE
    yield "All from the environment; a missing or malformed one stops start-up with a line that names it.\n"
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        variable = str(field.validation_alias or f"BACKLANE_{name.upper()}")
        default = "—" if field.default is None else f"`{field.default}`"
        yield f"| `{variable}` | {default} | {field.description or 'the provider’s own name, used as it is'} |"


PAGES = {"lifecycle.md": lifecycle, "data.md": data, "errors.md": error_page, "settings.md": settings}


def main(check: bool) -> int:
    """Write the pages, or say which ones differ."""
    differ: list[str] = []
    for name, draw in PAGES.items():
        text = "\n".join(draw()).rstrip() + "\n"
        path = DOCS / name
        if not path.exists() or path.read_text() != text:
            differ.append(name)
            if not check:
                path.write_text(text)
    for name in differ:
        print(f"docs/{name} {'differs from the code; run make docs' if check else 'drawn'}")
    return int(check and bool(differ))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv))

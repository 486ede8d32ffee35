"""The report: `build/bench.json` for machines, tables and aims for people."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.harness import Figure


def as_json(figures: Sequence[Figure], *, quick: bool, seconds: float) -> dict[str, Any]:
    """Everything that was measured, and on what."""
    return {
        "quick": quick,
        "seconds": round(seconds, 1),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.system(),
        },
        "figures": [
            {**asdict(figure), "aims": [{**asdict(aim), "met": aim.met} for aim in figure.aims]}
            for figure in figures
        ],
    }


def write(report: dict[str, Any], path: Path) -> None:
    """Keep the report."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1) + "\n")


def table(figure: Figure) -> list[str]:
    """A figure as lines: medians with least and most in brackets, then its aims and notes."""
    names = list(dict.fromkeys(name for row in figure.rows for name in row))
    shown = [name for name in names if not name.endswith(("_least", "_most"))]
    cells = [[_cell(row, name) for name in shown] for row in figure.rows]
    widths = [max(len(line[place]) for line in [shown, *cells]) for place in range(len(shown))]
    lines = ["", figure.name, "-" * len(figure.name)]
    for line in [shown, *cells]:
        told = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        lines.append("  ".join(told).rstrip())
    for aim in figure.aims:
        sign = ">=" if aim.at_least else "<="
        lines.append(
            f"{'met   ' if aim.met else 'MISSED'}  {aim.name}: {aim.measured:.2f}, aim {sign} {aim.bound:g}"
        )
    return [*lines, *(f"note: {note}" for note in figure.notes)]


def _cell(row: dict[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None:
        return ""
    if not isinstance(value, int | float):
        return str(value)
    if f"{name}_least" not in row:
        return _number(value)
    return f"{_number(value)} [{_number(row[f'{name}_least'])}, {_number(row[f'{name}_most'])}]"


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"

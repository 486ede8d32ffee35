"""Runs the suite: `python -m benchmarks [--quick] [--only submits …]`."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import acting, carrying, followers, footprint, hooks, looking, report, submits
from benchmarks.harness import Figure

_FIGURES: dict[str, Callable[[bool, Callable[[str], None]], Figure]] = {
    "submits": submits.measure,
    "carrying": carrying.measure,
    "looking": looking.measure,
    "footprint": footprint.measure,
    "followers": followers.measure,
    "hooks": hooks.measure,
    "acting": acting.measure,
}


def _told(line: str) -> None:
    print(f"  … {line}", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print, and keep the report."""
    parser = argparse.ArgumentParser(prog="benchmarks")
    parser.add_argument("--quick", action="store_true", help="at most five minutes")
    parser.add_argument("--only", choices=tuple(_FIGURES), nargs="+", default=list(_FIGURES))
    parser.add_argument("--to", type=Path, default=Path("build/bench.json"))
    given = parser.parse_args()
    begun, figures = time.monotonic(), list[Figure]()
    for name in given.only:
        figure = _FIGURES[name](given.quick, _told)
        figures.append(figure)
        print("\n".join(report.table(figure)), flush=True)
    whole = report.as_json(figures, quick=given.quick, seconds=time.monotonic() - begun)
    report.write(whole, given.to)
    print(f"\n{whole['seconds']} s; written to {given.to}")


if __name__ == "__main__":
    main()

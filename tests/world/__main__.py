"""`python -m tests.world`: live through seeds; `--seed N` replays one, `--planted` measures the mistakes.

`--first-seeds` prints a quick seed that catches each mistake, as `tests/world/first_seeds.txt` has it.
"""

import argparse
import os
import statistics
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat

from tests.world.mistakes import MISTAKES, planted
from tests.world.winds import EVERY_DOOR
from tests.world.world import Outcome, run

GIVE_UP_AFTER = 100


def twice(seed: int, door: str | None) -> tuple[Outcome, bool]:
    """A seed, and whether living through it again was the same."""
    first = run(seed, door=door)
    return first, run(seed, door=door).trace == first.trace


def once(seed: int, door: str | None) -> tuple[Outcome, bool]:
    """A seed."""
    return run(seed, door=door), True


def report(outcome: Outcome, same: bool) -> bool:
    """What one seed found, and how to see it again; whether it was bad."""
    for name, what in outcome.violations:
        print(f"seed {outcome.seed}: {name}: {what}")
    if not same:
        print(f"seed {outcome.seed}: two runs of the same seed differ")
    if outcome.violations or not same:
        door = f" --door {outcome.door}" if outcome.door else ""
        print(f"  again: python -m tests.world --seed {outcome.seed}{door}")
    return bool(outcome.violations) or not same


def seeds_to_find(name: str, first: int) -> tuple[int | None, str]:
    """How many seeds, from this one on, a planted mistake stays hidden; by which invariant it is caught."""
    with planted(name) as changes:
        for tried in range(GIVE_UP_AFTER):
            violations = run(first + tried, **changes).violations
            if violations:
                return tried + 1, violations[0][0]
    return None, ""


def measure(rounds: int, processes: int) -> int:
    """Each mistake's median number of seeds to find; the exit code."""
    names = [name for name in MISTAKES for _ in range(rounds)]
    firsts = [1 + number * GIVE_UP_AFTER for _ in MISTAKES for number in range(rounds)]
    with ProcessPoolExecutor(processes) as pool:
        found = list(pool.map(seeds_to_find, names, firsts))
    missed = 0
    for number, name in enumerate(MISTAKES):
        mine = found[number * rounds : (number + 1) * rounds]
        seeds = [GIVE_UP_AFTER if seed is None else seed for seed, _ in mine]
        missed += any(seed is None for seed, _ in mine)
        caught_by = ", ".join(sorted({word for _, word in mine if word}))
        print(f"| `{name}` | {statistics.median(seeds):g} | {max(seeds)} | {caught_by} |", flush=True)
    return 1 if missed else 0


def cost_of(seed: int) -> tuple[float, int]:
    """How long a seed keeps a processor busy, seconds."""
    began = time.process_time()
    run(seed)
    return time.process_time() - began, seed


def seed_that_finds(name: str, order: list[int]) -> int | None:
    """The first of these seeds that catches a planted mistake."""
    with planted(name) as changes:
        return next((seed for seed in order if run(seed, **changes).violations), None)


def first_seeds(processes: int) -> int:
    """Each mistake with a seed that catches it, quick ones tried first; the exit code."""
    with ProcessPoolExecutor(processes) as pool:
        costs = sorted(pool.map(cost_of, range(1, GIVE_UP_AFTER + 1)))
        quick_first = [seed for _, seed in costs]
        found = list(pool.map(seed_that_finds, MISTAKES, repeat(quick_first)))
    for name, seed in zip(MISTAKES, found, strict=True):
        if seed is not None:
            print(name, seed)
    return 1 if None in found else 0


def main() -> int:
    """The exit code: 0 when nothing was violated."""
    asked = argparse.ArgumentParser(prog="python -m tests.world", description=__doc__)
    asked.add_argument("--seed", type=int, help="replay this seed")
    asked.add_argument("--seeds", type=int, default=300, help="how many seeds to live through")
    asked.add_argument("--first", type=int, default=1, help="the first of them")
    asked.add_argument("--twice", action="store_true", help="run each twice and compare the traces")
    asked.add_argument("--door", choices=EVERY_DOOR, help="most work goes through this door")
    asked.add_argument("--mistake", choices=sorted(MISTAKES), help="with --seed: plant this mistake")
    asked.add_argument("--planted", type=int, metavar="ROUNDS", help="measure every planted mistake")
    asked.add_argument(
        "--first-seeds", action="store_true", help="a seed for each planted mistake, quick ones first"
    )
    asked.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = asked.parse_args()
    if given.planted:
        return measure(given.planted, given.processes)
    if given.first_seeds:
        return first_seeds(given.processes)
    began = time.monotonic()
    if given.seed is not None:
        with planted(given.mistake) as changes:
            lived = [(run(given.seed, **{"door": given.door, **changes}), True)]
    else:
        seeds = range(given.first, given.first + given.seeds)
        with ProcessPoolExecutor(given.processes) as pool:
            live = twice if given.twice else once
            lived = list(pool.map(live, seeds, repeat(given.door), chunksize=4))
    bad = sum([report(outcome, same) for outcome, same in lived])
    counts: Counter[str] = sum((outcome.counts for outcome, _ in lived), Counter())
    hours, took = sum(outcome.hours for outcome, _ in lived), time.monotonic() - began
    print(
        f"{len(lived)} seeds, {counts['jobs']} jobs, {hours:.1f} simulated hours, {bad} with violations, "
        f"{took:.1f} s ({len(lived) / took * 3600:.0f} seeds and {hours / took * 3600:.0f} simulated hours an hour)"
    )
    print(", ".join(f"{name} {count}" for name, count in sorted(counts.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

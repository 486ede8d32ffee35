"""Each planted mistake is caught: a harness that finds nothing must be shown to find something."""

from itertools import chain
from pathlib import Path

import pytest

from tests.world.mistakes import MISTAKES, planted
from tests.world.world import run

SEEDS_AT_MOST = 60
# Where to look first, for time's sake only: `python -m tests.world --first-seeds` writes it anew.
FIRST = {
    name: int(seed)
    for name, seed in (
        line.split() for line in Path(__file__).with_name("first_seeds.txt").read_text().splitlines()
    )
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_caught(name: str) -> None:
    with planted(name) as changes:
        for seed in chain([FIRST.get(name, 1)], range(1, SEEDS_AT_MOST + 1)):
            if run(seed, **changes).violations:
                return
    raise AssertionError(f"{name} was not caught in {SEEDS_AT_MOST} seeds: the harness is blind to it")

"""Each planted mistake is caught: a harness that finds nothing must be shown to find something."""

import pytest

from tests.world.mistakes import MISTAKES, planted
from tests.world.world import run

SEEDS_AT_MOST = 60


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_caught(name: str) -> None:
    with planted(name) as changes:
        for seed in range(1, SEEDS_AT_MOST + 1):
            if run(seed, **changes).violations:
                return
    raise AssertionError(f"{name} was not caught in {SEEDS_AT_MOST} seeds: the harness is blind to it")

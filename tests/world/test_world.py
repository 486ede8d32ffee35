"""Three hundred seeds of the simulated world; a failing one prints the command that replays it, and is kept."""

from pathlib import Path

import pytest

from tests.world.world import run

AT_ONCE = 5
KEPT = [
    int(line.split()[0])
    for line in Path(__file__).with_name("kept_seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def live(seed: int) -> None:
    outcome = run(seed)
    told = "\n".join(f"{name}: {what}" for name, what in outcome.violations)
    assert not outcome.violations, (
        f"{told}\nagain: python -m tests.world --seed {seed}\nthen add it to tests/world/kept_seeds.txt"
    )


@pytest.mark.parametrize("first", range(1, 301, AT_ONCE))
def test_nothing_is_lost_bought_twice_or_forgotten_whatever_the_weather(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        live(seed)


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int) -> None:
    live(seed)


@pytest.mark.parametrize("seed", [100, 200, 300])
def test_the_same_seed_gives_the_same_world(seed: int) -> None:
    assert run(seed).trace == run(seed).trace


def test_another_seed_gives_another_world() -> None:
    assert run(1).trace != run(2).trace

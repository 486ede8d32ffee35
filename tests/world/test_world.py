"""Seeds of the simulated world, whole and through each door; a failing one prints the command that replays it."""

from pathlib import Path

import pytest

from tests.world.winds import EVERY_DOOR
from tests.world.world import run

# Many more are lived through by `make world`.
AT_ONCE, WHOLE, THROUGH_A_DOOR = 4, 32, 4
KEPT = [
    int(line.split()[0])
    for line in Path(__file__).with_name("kept_seeds.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


def live(seed: int, door: str | None = None) -> None:
    outcome = run(seed, door=door)
    told = "\n".join(f"{name}: {what}" for name, what in outcome.violations)
    again = f"python -m tests.world --seed {seed}" + (f" --door {door}" if door else "")
    assert not outcome.violations, f"{told}\nagain: {again}\nthen add it to tests/world/kept_seeds.txt"


@pytest.mark.parametrize("first", range(1, WHOLE + 1, AT_ONCE))
def test_nothing_is_lost_bought_twice_or_forgotten_whatever_the_weather(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        live(seed)


@pytest.mark.parametrize("door", EVERY_DOOR)
@pytest.mark.parametrize("first", range(1001, 1001 + THROUGH_A_DOOR, AT_ONCE))
def test_nothing_goes_wrong_behind_any_door(door: str, first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        live(seed, door)


@pytest.mark.parametrize("seed", KEPT)
def test_a_seed_that_once_found_something_finds_nothing_any_more(seed: int) -> None:
    live(seed)


@pytest.mark.parametrize(("seed", "door"), [(100, None), (200, "acts"), (300, "chats")])
def test_the_same_seed_gives_the_same_world(seed: int, door: str | None) -> None:
    assert run(seed, door=door).trace == run(seed, door=door).trace


def test_another_seed_gives_another_world() -> None:
    assert run(1).trace != run(2).trace

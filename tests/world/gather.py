"""Who lives in a simulated world: requesters, those who look after jobs, and who comes through the newer doors."""

import random
from typing import TYPE_CHECKING

from tests.world.care import Caretaker
from tests.world.deciders import Chief, Reviewer, vandalize
from tests.world.people import Operator, Requester
from tests.world.petitioners import Petitioner, Talker
from tests.world.release import deploy
from tests.world.visitors import Visitor
from tests.world.worriers import Treasurer, Warden, Worrier

if TYPE_CHECKING:
    from tests.world.world import SimulatedWorld


def gather(world: "SimulatedWorld") -> None:
    """Everybody begins to live."""
    weather = world.weather
    for number in range(weather.requesters):
        requester = Requester(world, world.callers[number % 2], _chance(world, f"requester-{number}"))
        world.begin(requester.live(weather.jobs // weather.requesters + 1), requester.follow())
    for number in (2, 3):
        caller, own = world.callers[number], _chance(world, f"operator-{number}")
        world.begin(Operator(world, caller, own).live(), Caretaker(world, caller, own).live())
    for number in range(2):
        _gather_visitors(world, number)
    if "acts" in weather.doors:
        _gather_deciders(world)
    if "changes" in weather.doors:
        _gather_worriers(world)
    if "hooks" in weather.doors:
        world.begin(world.courier.live())


def _chance(world: "SimulatedWorld", name: str) -> random.Random:
    return random.Random(f"{world.seed}:{name}")


def _gather_visitors(world: "SimulatedWorld", number: int) -> None:
    """Whose work needs streams, tools or files, and who talks to jobs."""
    weather, caller = world.weather, world.callers[number]
    name = f"visitor-{number}"
    if weather.visits:
        visitor = Visitor(world, caller, _chance(world, name), name)
        world.begin(visitor.live((weather.visits + number) // 2), visitor.follow())
    name = f"talker-{number}"
    if weather.talks:
        talker = Talker(world, caller, _chance(world, name), name)
        world.begin(talker.live((weather.talks + number) // 2), talker.follow())


def _gather_deciders(world: "SimulatedWorld") -> None:
    """Who asks for what must be let out, and those who let it out or stop it."""
    weather = world.weather
    for place in range(2):
        ana, adam, rita, rosa = (world.callers[place + one] for one in (0, 4, 6, 8))
        for caller, share in ((ana, 3), (adam, 2)):
            name = f"petitioner-{caller.name}"
            petitioner = Petitioner(world, caller, _chance(world, name), name)
            given = max(1, weather.petitions * share // 8)
            world.begin(petitioner.live(given), petitioner.follow())
        for caller in (rita, rosa, adam):
            world.begin(Reviewer(world, caller, _chance(world, f"reviewer-{caller.name}")).live())
        chief = Chief(world, adam, _chance(world, f"chief-{adam.name}"), [rita, rosa])
        world.begin(chief.live())
    if weather.vandal:
        world.begin(vandalize(world))


def _gather_worriers(world: "SimulatedWorld") -> None:
    """Who minds what was begun, who holds lanes, and the next release."""
    weather = world.weather
    for place in range(2):
        name = f"worrier-{place}"
        worrier = Worrier(world, world.callers[place], _chance(world, name), name)
        world.begin(worrier.live((weather.worries + place) // 2), worrier.follow())
        world.begin(Warden(world, world.callers[2 + place], _chance(world, f"warden-{place}")).live())
        treasurer = Treasurer(world, world.callers[4 + place], _chance(world, f"treasurer-{place}"))
        # By a clock that jumps the checker could not say what was sent before a budget began.
        if weather.caps and weather.jump_every is None:
            world.begin(treasurer.live())
    if weather.deploys:
        world.begin(deploy(world, _chance(world, "deploy")))

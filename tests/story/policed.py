"""What happens in every story of policies: the model proposes, a policy answers, the world is counted."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.core.ports import Types
from backlane.service.access import Caller
from backlane.service.read import read_job
from backlane.service.show_actions import read_action
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.action_types import World
from tests.story.acts import script, submitted
from tests.story.policy_types import policed_app

CREDIT = {"tenant": "acme", "to": "ana@example.test", "amount": "12.50"}


async def credited(
    place: Place, ana: Caller, *arguments: dict[str, Any], type_name: str = "credit", **more: Any
) -> Job:
    """A job whose model proposes these credits."""
    calls = [{"name": "give_credit", "arguments": {**CREDIT, **one}} for one in arguments or ({},)]
    script(place, {"tool_calls": calls})
    return await submitted(place, ana, type_name, account="acme", **more)


async def action_of(place: Place, job: Job) -> dict[str, Any]:
    """The job's first action with nothing closed."""
    olga = await place.caller("olga", "operator")
    view = await read_job(place.service.ports, olga, job.id)
    return await read_action(place.service.ports, olga, view["actions"][0]["id"])


async def redeployed(place: Place, types: Types) -> Place:
    """The same database and provider under other code."""
    await place.service.drain(grace=5)
    service = build(place.settings, types=types, log=lambda line: None)
    await service.start_worker()
    return Place(service, place.simulator, place.settings)


async def audited(place: Place, action: str) -> list[dict[str, Any]]:
    """The audit lines of this kind, oldest first."""
    ana = await place.caller()
    return await place.service.store.read(
        lambda tx: tx.audit_lines(ana.workspace, {"action": action}, after=0, limit=200)
    )


async def undo_delay_is_over(place: Place, job: Job, action: dict[str, Any]) -> None:
    """Let the action's turn come now, as if its undo delay had passed."""
    now = place.service.ports.clock.now()
    await place.service.store.write(lambda tx: tx.move_action(action["id"], ["approved"], dispatch_after=now))
    await place.service.store.write(lambda tx: tx.wake(job.id, now))
    place.service.ports.notify()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """The outside world of one story."""
    return World(tmp_path)


@pytest.fixture
async def policed(tmp_path: Path, simulator: Running, world: World) -> AsyncIterator[Place]:
    """A service with policed types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=policed_app(world), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    world.holds.set()
    await service.drain(grace=5)

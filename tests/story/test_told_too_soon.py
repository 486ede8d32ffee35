"""The provider tells of an end before its own reads show it: the hint is not used up by the look that came too soon."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Place
from tests.story.acts import creates, fault, finished, script, seen, submitted, verified
from tests.story.hooking import calls, hooked_place, listening, rows, tell, telling_simulator


@pytest.fixture
async def hooked(tmp_path: Path) -> AsyncIterator[Place]:
    """A working service that is told of ends, and would look by itself a minute after them."""
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at) as place:
            yield place


BEHIND: list[tuple[str, dict[str, Any]]] = [
    ("backwards_status", {}),
    ("unknown_status", {}),
    ("server_error", {"call": "retrieve"}),
]


@pytest.mark.parametrize(("name", "values"), BEHIND)
async def test_an_end_told_before_it_can_be_read_is_looked_for_again_soon(
    hooked: Place, name: str, values: dict[str, Any]
) -> None:
    """By its own schedule the second look would come a minute later, long after this story's patience."""
    ana = await hooked.caller()
    fault(hooked, name, times=2, **values)
    view = await finished(hooked, ana, await submitted(hooked, ana))
    assert view["status"] == "completed"
    assert (creates(hooked), calls(hooked, "retrieve")) == (1, 3)
    assert [row["note"] for row in rows(hooked)] == ["looked at"]
    verified(hooked)


async def test_a_worker_that_dies_between_the_event_and_the_end_leaves_the_hint_behind(
    tmp_path: Path,
) -> None:
    """What was told is stored: the next worker, whom nobody tells anything, goes on looking soon."""
    at, nowhere = listening(), listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at) as place:
            ana = await place.caller()
            fault(place, "backwards_status", times=3)
            job = await submitted(place, ana)
            while not calls(place, "retrieve"):
                await asyncio.sleep(0.005)
        before = calls(place, "retrieve")
        async with hooked_place(tmp_path, simulator, nowhere) as place:
            ana = await place.caller()
            view = await finished(place, ana, job)
            assert view["status"] == "completed"
            assert before < calls(place, "retrieve") == 4
            assert len(rows(place)) == 1
            verified(place)


@pytest.mark.parametrize(
    ("about", "kind"), [("batch_1", "batch.completed"), ("resp_foreign", "response.completed")]
)
async def test_an_event_about_nothing_of_ours_does_not_make_looks_rare(
    tmp_path: Path, about: str, kind: str
) -> None:
    """It says nothing of whether the ends of our runs will be told."""
    at, nowhere = listening(), listening()
    with telling_simulator(nowhere) as simulator:
        async with hooked_place(tmp_path, simulator, at, look_first=2, look_max=2) as place:
            ana = await place.caller()
            await tell(place, about, "wh_1", kind)
            script(place, {"running_seconds": 3600})
            job = await submitted(place, ana)
            await seen(place, ana, job.id, lambda view: view["provider_response_id"])
            (attempt,) = await place.service.store.read(lambda tx: tx.attempts(job.id))
            assert attempt.look_at - attempt.accepted_at <= 2_100
            verified(place)

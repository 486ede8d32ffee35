"""Whatever is asked of the provider tells how a lane is: taking a stream up and sending a file count like the rest."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.core.health import BAD_AT_LEAST
from backlane.service.lanes import list_lanes
from backlane.simulator.server import Running
from tests.conftest import Place
from tests.story.acts import fault, finished, script, submitted, verified
from tests.story.filed import PDF, asked, filed_place, sent_in
from tests.story.live_acts import RUN, lived
from tests.story.test_lane_health import incidents


@pytest.fixture
async def far(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A worker that uploads every file."""
    async for place in filed_place(tmp_path, simulator, file_inline_at_most=0):
        await place.service.start_worker()
        yield place


async def health(place: Place, at_least: int) -> dict[str, Any]:
    """The background lane's health, once so many calls of it are written down."""
    olga = await place.caller("olga", "operator")
    for _ in range(1500):
        [lane] = [one for one in await list_lanes(place.service.ports, olga) if one["lane"] == "background"]
        if lane["health"]["good"] + lane["health"]["bad"] >= at_least:
            return lane["health"]
        # Counts are written with something else, good ones after five seconds at the latest.
        await finished(place, olga, await submitted(place, olga, "plain"))
        await place.service.ports.clock.sleep(50)
    raise AssertionError(lane)


async def test_streams_that_cannot_be_taken_up_count_as_failed_calls(working: Place) -> None:
    script(working, {**RUN, "running_seconds": 1.0})
    fault(working, "drop_stream", after=6, call="create")
    fault(working, "status", status=503, call="stream", times=None)
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", life["result"])
    refused = working.simulator.world.stats()["streams"]
    assert refused >= 1
    told = await health(working, refused + 2)
    assert told["bad"] == refused
    verified(working)


async def test_a_stream_that_is_told_to_come_later_or_is_slow_is_no_outage(working: Place) -> None:
    script(working, {**RUN, "running_seconds": 1.0}, times=None)
    fault(working, "drop_stream", after=6, call="create")
    fault(working, "status", status=429, call="stream", times=2)
    fault(working, "slow", call="stream", seconds=0.4)
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", life["result"])
    told = await health(working, 4)
    assert told["bad"] == 0
    assert not await incidents(working)
    verified(working)


async def test_a_slow_stream_counts_in_the_delay_of_its_lane(working: Place) -> None:
    script(working, {**RUN, "running_seconds": 2.0})
    fault(working, "drop_stream", after=6, call="create")
    fault(working, "slow", call="stream", seconds=1.5, real=True)
    life = await lived(working)
    assert life["status"] == "completed"
    counted = working.service.ports.health._counts  # pyright: ignore[reportPrivateUsage]
    told = await health(working, 2)
    assert told["mean_delay_ms"] * told["good"] >= 1_400, (told, counted)


async def test_uploads_that_fail_hold_the_lane_before_a_run_is_bought(far: Place) -> None:
    ana = await far.caller()
    fault(far, "status", status=503, call="file_upload", times=None, accept=False)
    for number in range(BAD_AT_LEAST):
        await asked(far, ana, await sent_in(far, ana, f"line {number}\n".encode() * 9, f"n{number}.txt"))
    for _ in range(1500):
        if await incidents(far):
            break
        await far.service.ports.clock.sleep(10)
    assert [row["code"] for row in await incidents(far)] == ["provider_trouble"]
    assert far.simulator.world.stats()["creates"] == 0


async def test_a_good_upload_counts_as_a_good_call(far: Place) -> None:
    ana = await far.caller()
    view = await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    assert view["status"] == "completed"
    rows = far.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql("select sum(good), sum(bad) from lane_minutes").all()
    )
    counts = far.service.ports.health._counts  # pyright: ignore[reportPrivateUsage]
    good = (rows[0][0] or 0) + sum(one.good for one in counts.values())
    calls = [line["call"] for line in far.simulator.world.log]
    assert good == sum(one in ("create", "retrieve", "file_upload") for one in calls)
    assert "file_upload" in calls

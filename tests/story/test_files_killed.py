"""Workers killed around an upload to the provider and around its delete: nothing is lost, nothing is left there."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running
from tests.conftest import Place
from tests.story.acts import verified
from tests.story.filed import PDF, alive, asked, calls, copies, filed_place, sent_in, tidied
from tests.story.test_processes import resolve_all, work


@pytest.fixture
async def outside(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service without a worker, beside the worker processes that the test starts."""
    async for place in filed_place(tmp_path, simulator, file_inline_at_most=0):
        yield place


POINTS = {"upload_sending:1": 2, "upload_answered:1": 1, "sending:1": 1, "looked:1": 1, "file_deleting:1": 1}


@pytest.mark.parametrize("armed", POINTS)
async def test_a_worker_killed_around_an_upload_leaves_no_file_and_loses_no_job(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    ana = await outside.caller()
    jobs = [(await asked(outside, ana, await sent_in(outside, ana, PDF))).id for _ in range(2)]
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    if await resolve_all(outside, jobs):
        assert await work(outside, tmp_path) == 0
    views = [await read_job(outside.service.ports, ana, job) for job in jobs]
    assert [view["status"] for view in views] == ["completed", "completed"]
    assert len(copies(outside)) == POINTS[armed]
    assert len(calls(outside, "file_upload")) == 1
    await tidied(outside)
    assert (alive(outside), {state for state, _ in copies(outside)}) == (0, {"deleted"})
    verified(outside)


async def test_a_job_canceled_while_its_worker_was_dead_leaves_no_file(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    job = await asked(outside, ana, await sent_in(outside, ana, PDF))
    assert await work(outside, tmp_path, "upload_answered:1") == -signal.SIGKILL
    assert alive(outside) == 1
    await control.cancel(outside.service.ports, ana, job.id, None)
    assert await work(outside, tmp_path) == 0
    assert (alive(outside), copies(outside)) == (0, [("deleted", None)])
    verified(outside)


async def test_a_process_killed_between_a_files_bytes_and_its_row_leaves_no_half_file(
    outside: Place, tmp_path: Path
) -> None:
    class Died(Exception):
        """In place of kill -9: nothing after this point runs."""

    def die(point: str) -> None:
        if point == "upload_stored":
            raise Died

    ana = await outside.caller()
    object.__setattr__(outside.service.ports, "point", die)
    with pytest.raises(Died):
        await sent_in(outside, ana, PDF * 50)
    rows = outside.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM uploads").scalar()
    )
    assert rows == 0
    root = Path(outside.settings.artifacts_url.removeprefix("file:"))
    assert not list(root.rglob(".half-*"))

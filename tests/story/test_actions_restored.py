"""A restored backup and actions: what was carried out after it was made is found by its key, and not done again."""

import shutil
from pathlib import Path

import pytest

from backlane.service.restore import declare_restored
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acting import approve, as_seen_by_olga, asked_for, review_of, waits
from tests.story.action_types import World, acting_app
from tests.story.acts import script, seen, verified


def opened(folder: Path, simulator: Running) -> Place:
    """A service on the folder's database, as after a restart."""
    chosen = settings_for(folder, simulator)
    service = build(chosen, types=acting_app(World(folder)), log=lambda line: None)
    return Place(service, simulator, chosen)


async def backed_up(folder: Path, place: Place) -> None:
    """A backup of a service that has stopped."""
    await place.service.drain(grace=5)
    shutil.copy(folder / "backlane.db", folder / "backup.db")


@pytest.mark.parametrize("approved_since", [True, False])
async def test_an_action_that_may_have_been_carried_out_after_the_backup_is_looked_up_first(
    tmp_path: Path, simulator: Running, approved_since: bool
) -> None:
    world = World(tmp_path)
    first = opened(tmp_path, simulator)
    await first.service.start_worker()
    ana = await first.caller()
    job, review = await asked_for(first, ana)
    await backed_up(tmp_path, first)
    if approved_since:
        second = opened(tmp_path, simulator)
        await second.service.start_worker()
        script(second, {"text": "Done."})
        await approve(second, review)
        await seen(second, ana, job.id, lambda view: view["status"] == "completed")
        await second.service.drain(grace=5)
    for name in ("backlane.db", "backlane.db-wal", "backlane.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    shutil.copy(tmp_path / "backup.db", tmp_path / "backlane.db")
    third = opened(tmp_path, simulator)
    restored = await declare_restored(third.service.ports, "olga")
    assert restored.asked == 1
    await third.service.start_worker()
    if not approved_since:
        await seen(third, ana, job.id, lambda view: view["review"]["id"] != review["id"])
        await approve(third, await review_of(third, await waits(third, ana, job)))
    # Its next run may have been bought since the backup, too: that is asked about as ever.
    await waits(third, ana, job, "submission_unknown")
    [action] = (await as_seen_by_olga(third, job))["actions"]
    by = "lookup" if approved_since else "receipt"
    assert (action["state"], action["settled_by"]) == ("succeeded", by)
    assert world.effects() == [(action["key"], "o-17")]
    verified(third, world.log())
    await third.service.drain(grace=5)

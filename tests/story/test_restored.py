"""An old backup is put in place: what may have been bought since it was made is asked about, never bought again."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import NotThisAttempt
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import Service, build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, finished, script, seen, submitted, verified
from tests.story.test_processes import ROOT, environment, serve
from tests.values import small_app

FAILS = {"status": "failed", "error_code": "server_error"}


def opened(folder: Path, simulator: Running) -> Place:
    """A service on the folder's database, as after a restart."""
    settings = settings_for(folder, simulator, cancel_wait=0.5)
    return Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)


def back_up(folder: Path) -> None:
    """The backup that docs/operating.md tells of, in this folder."""
    lines = (ROOT / "docs" / "operating.md").read_text().splitlines()
    command = next(line for line in lines if line.startswith("python -c") and "VACUUM INTO" in line)
    (folder / ".backlane").symlink_to(folder)
    python = command.replace("python", sys.executable, 1)
    subprocess.run(python, shell=True, check=True, cwd=folder)


def restore(folder: Path) -> None:
    """Put the backup in place of the database, its log and its index."""
    for name in ("backlane.db", "backlane.db-wal", "backlane.db-shm"):
        (folder / name).unlink(missing_ok=True)
    shutil.copy(folder / "backup.db", folder / "backlane.db")


def declare(place: Place, *more: str) -> subprocess.CompletedProcess[str]:
    """Run `backlane doctor --restored`."""
    command = [sys.executable, "-m", "backlane.cli", "doctor", "--restored", *more]
    return subprocess.run(
        command, check=False, cwd=ROOT, env=environment(place), capture_output=True, text=True, timeout=60
    )


def counted(place: Place) -> dict[str, int]:
    told = declare(place, "--json")
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def run_of(place: Place, job_id: str) -> str:
    """The newest run that the provider has of a job."""
    lines = [line for line in place.simulator.world.log if line["call"] == "create" and line["response_id"]]
    return [line["response_id"] for line in lines if line["metadata"]["backlane_job"] == job_id][-1]


async def accepted(place: Place, caller: Any, job: Job) -> None:
    await seen(place, caller, job.id, lambda view: bool(view["attempts"]) and view["status"] == "running")


async def lived_on(folder: Path, simulator: Running, waiting: list[str]) -> tuple[list[Job], Job, Job]:
    """A backup is made of jobs that wait, one that runs and one whose run will fail; then all of them finish."""
    first = opened(folder, simulator)
    ana = await first.caller()
    await first.service.start_worker()
    script(first, {"running_seconds": 900}, input_contains="a long one")
    script(first, {"running_seconds": 900, **FAILS}, input_contains="one that fails")
    runs = await submitted(first, ana, text="a long one about otters")
    fails = await submitted(first, ana, text="one that fails at first")
    await accepted(first, ana, runs)
    await accepted(first, ana, fails)
    await first.service.drain(grace=5)
    second = opened(folder, simulator)
    jobs = [await submitted(second, ana, kind) for kind in waiting]
    back_up(folder)
    for run in simulator.world.runs.values():
        run.ends_at = simulator.world.now()
    await second.service.start_worker()
    for job in [*jobs, runs, fails]:
        await finished(second, ana, job)
    await second.service.drain(grace=5)
    restore(folder)
    return jobs, runs, fails


async def test_what_was_bought_after_the_backup_is_asked_about_and_never_bought_again(
    tmp_path: Path, simulator: Running
) -> None:
    jobs, runs, fails = await lived_on(tmp_path, simulator, ["digest", "plain", "checked", "draft"])
    third = opened(tmp_path, simulator)
    bought = creates(third)
    assert bought == 7
    assert counted(third) == {"asked": 4, "waiting": 0, "followed": 2}
    assert counted(third) == {"asked": 0, "waiting": 4, "followed": 2}
    ana, olga = await third.caller(), await third.caller("olga", "operator")
    await third.service.start_worker()
    # The run that was known is followed to its end; the one that failed asks before it is bought again.
    assert (await finished(third, ana, runs))["status"] == "completed"
    view = await finished(third, ana, fails)
    assert (view["phase"], view["attempts"][-1]["code"]) == ("submission_unknown", "restored")
    views = [await read_job(third.service.ports, ana, job.id) for job in jobs]
    assert {view["phase"] for view in views} == {"submission_unknown"}
    said = "A backup was put in place: nobody knows what was bought since it was made"
    assert {view["outcome"]["headline"] for view in views} == {said}
    assert creates(third) == bought
    await _resolve(third, olga, jobs, fails)
    assert (await finished(third, ana, fails))["status"] == "completed"
    ends = [(await finished(third, ana, job))["status"] for job in jobs]
    assert ends == ["completed", "completed", "failed", "canceled"]
    assert creates(third) == bought + 1
    assert third.simulator.world.stats()["duplicates"] == 0
    verified(third)
    await third.service.drain(grace=5)


async def _resolve(place: Place, olga: Any, jobs: list[Job], fails: Job) -> None:
    """Attach the runs that were found, run one again, give one up, cancel one."""
    ports, found = place.service.ports, run_of(place, jobs[0].id)
    with pytest.raises(NotThisAttempt):
        await control.resolve(ports, olga, jobs[1].id, "attach", provider_response_id=found)
    known = (await read_job(ports, olga, fails.id))["attempts"][0]["provider_response_id"]
    with pytest.raises(NotThisAttempt):
        await control.resolve(ports, olga, fails.id, "attach", provider_response_id=known)
    await control.resolve(ports, olga, jobs[0].id, "attach", provider_response_id=found)
    again = run_of(place, fails.id)
    await control.resolve(ports, olga, fails.id, "attach", provider_response_id=again)
    await control.resolve(ports, olga, jobs[1].id, "run_again")
    await control.resolve(ports, olga, jobs[2].id, "give_up")
    await control.cancel(ports, olga, jobs[3].id, None)


async def test_without_the_declaration_the_checker_sees_what_was_bought_behind_its_back(
    tmp_path: Path, simulator: Running
) -> None:
    await lived_on(tmp_path, simulator, ["digest"])
    third = opened(tmp_path, simulator)
    try:
        verified(third)
        raise AssertionError("a create without a row went unseen")
    except AssertionError as error:
        assert "which has no row" in str(error)
    await third.service.drain(grace=5)


async def test_a_restore_is_not_declared_while_a_worker_runs(tmp_path: Path, simulator: Running) -> None:
    place = opened(tmp_path, simulator)
    running = await serve(place)
    told = declare(place)
    assert told.returncode == 1
    assert told.stdout == ""
    assert len(told.stderr.strip().splitlines()) == 1
    assert "stop the service" in told.stderr
    running.terminate()
    assert await asyncio.wait_for(running.wait(), 40) == 0
    assert declare(place).returncode == 0
    await place.service.drain(grace=5)


async def test_a_planned_intent_and_a_lost_reply_of_the_backup_wait_too(
    tmp_path: Path, simulator: Running
) -> None:
    place = opened(tmp_path, simulator)
    ana = await place.caller()
    planned, sending = await submitted(place, ana), await submitted(place, ana, "plain")
    for job, point in ((planned, "planned"), (sending, "sending")):
        await _stopped_at(place.service, job, point)
    assert counted(place) == {"asked": 2, "waiting": 0, "followed": 0}
    for job in (planned, sending):
        view = await read_job(place.service.ports, ana, job.id)
        assert [(one["state"], one["code"]) for one in view["attempts"]] == [("unknown", "restored")]
    await place.service.drain(grace=5)


async def _stopped_at(service: Service, job: Job, point: str) -> None:
    """The job as a worker left it that died at this point."""
    from dataclasses import replace

    from backlane.core.job import AttemptReason, AttemptState
    from backlane.service.intent import intent

    ports = service.ports

    def body(tx: Any) -> None:
        attempt = intent(ports, job, 1, AttemptReason.FIRST, ports.clock.now())
        if point == "sending":
            attempt = replace(attempt, state=AttemptState.SENDING, sent_at=ports.clock.now(), sender="boot_x")
        tx.insert_attempt(attempt)

    await service.store.write(body)

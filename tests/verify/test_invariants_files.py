"""The checker's rules about files can fail: each planted corruption is found, under the right name."""

import copy
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backlane.outbound.folder import ArtifactFolder
from backlane.simulator.server import Running
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_files import FILE_INVARIANTS
from tests.conftest import Place
from tests.simulator.made_files import pdf
from tests.story.acts import finished, script, seen
from tests.story.filed import PDF, asked, filed_place, sent_in, tidied


@pytest.fixture
async def far(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A worker that uploads every file."""
    async for place in filed_place(tmp_path, simulator, file_inline_at_most=0):
        await place.service.start_worker()
        yield place


async def evidence_of(far: Place) -> Evidence:
    """Evidence of one file that was deleted, and of another that an open job uses."""
    ana = await far.caller()
    await finished(far, ana, await asked(far, ana, await sent_in(far, ana, PDF)))
    await tidied(far)
    script(far, {"queued_seconds": 900})
    job = await asked(far, ana, await sent_in(far, ana, pdf("Another page.") * 400))
    await seen(far, ana, job.id, lambda view: view["phase"] == "provider")
    folder = ArtifactFolder.from_url(far.settings.artifacts_url)
    log = [dict(line) for line in far.simulator.world.log]
    return collect(far.service.store.database, folder.read, provider_log=log)


def upload_line(rows: dict[str, Any]) -> dict[str, Any]:
    return next(line for line in rows["provider_log"] if line["call"] == "file_upload")


def copy_in(rows: dict[str, Any], *states: str) -> dict[str, Any]:
    return next(row for row in rows["provider_files"] if row["state"] in states)


def drop_intent(rows: dict[str, Any]) -> None:
    rows["provider_files"].pop(0)


def send_first(rows: dict[str, Any]) -> None:
    rows["provider_files"][0]["sent_at"] += 60_000


def upload_twice(rows: dict[str, Any]) -> None:
    rows["provider_log"].append({**upload_line(rows), "object_id": "file-other"})


def other_bytes(rows: dict[str, Any]) -> None:
    upload_line(rows)["sha256"] = "0" * 64


def never_deleted(rows: dict[str, Any]) -> None:
    rows["provider_log"] = [line for line in rows["provider_log"] if line["call"] != "file_delete"]


def forgotten(rows: dict[str, Any]) -> None:
    copy_in(rows, "planned", "sending", "ready")["due_at"] = None


def ready_without_id(rows: dict[str, Any]) -> None:
    copy_in(rows, "planned", "sending", "ready").update(state="ready", provider_file_id=None)


def drop_upload(rows: dict[str, Any]) -> None:
    rows["uploads"].pop(0)


def foreign_upload(rows: dict[str, Any]) -> None:
    rows["uploads"][0]["workspace"] = "ws_other"


SPOILS: list[tuple[str, Callable[[dict[str, Any]], None]]] = [
    ("I31", drop_intent),
    ("I31", send_first),
    ("I31", upload_twice),
    ("I31", other_bytes),
    ("I32", never_deleted),
    ("I32", forgotten),
    ("I32", ready_without_id),
    ("I33", drop_upload),
    ("I33", foreign_upload),
]


async def test_every_planted_corruption_of_files_is_found_under_its_name(far: Place) -> None:
    good = await evidence_of(far)
    assert check(good).ok, check(good).lines()
    for invariant, spoil in SPOILS:
        rows = copy.deepcopy({name: getattr(good, name) for name in good.__dataclass_fields__})
        spoil(rows)
        found = {name for name, _ in check(replace(good, **rows)).violations}
        assert invariant in found, f"{spoil.__name__} went unnoticed ({found})"
    assert {name for name, _ in SPOILS} == set(FILE_INVARIANTS), "an invariant that was never seen to fail"


async def test_damaged_uploads_are_found_where_they_lie(far: Place) -> None:
    ana = await far.caller()
    small, large = await sent_in(far, ana, PDF), await sent_in(far, ana, PDF * 400)
    far.service.store.database.write_now(
        lambda connection: connection.exec_driver_sql(
            "UPDATE uploads SET inline = x'00' WHERE inline IS NOT NULL"
        )
    )
    root = Path(far.settings.artifacts_url.removeprefix("file:"))
    for path in root.rglob("*"):
        if path.is_file():
            path.write_bytes(b"other")
    folder = ArtifactFolder.from_url(far.settings.artifacts_url)
    report = check(collect(far.service.store.database, folder.read))
    assert {what.split()[0] for name, what in report.violations if name == "I29"} == {small, large}

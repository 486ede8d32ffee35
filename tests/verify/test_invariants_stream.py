"""The checker of live text can fail: each planted corruption of good evidence is found, under the right name."""

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from backlane.outbound.folder import ArtifactFolder
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_stream import STREAM_INVARIANTS
from tests.conftest import Place
from tests.story.acts import fault, script, submitted
from tests.story.live_acts import RUN, lived

Rows = dict[str, Any]


async def evidence_of(working: Place) -> Evidence:
    """A live job whose first run failed in the middle, whose second was cut; and one that is not live."""
    script(working, RUN)
    script(working, RUN)
    fault(working, "failed", code="server_error")
    fault(working, "drop_stream", after=6, call="create", times=2)
    fault(working, "drop_stream", after=9, call="stream", times=2)
    assert (await lived(working))["status"] == "completed"
    await submitted(working, await working.caller())
    folder = ArtifactFolder.from_url(working.settings.artifacts_url)
    return collect(
        working.service.store.database, folder.read, provider_log=list(working.simulator.world.log)
    )


def last(rows: Rows, kind: str) -> Rows:
    return next(row for row in reversed(rows["events"]) if row["type"] == kind)


def alter_a_piece(rows: Rows) -> None:
    last(rows, "output.delta")["data"] = json.dumps({"text": "Never said."})


def forget_the_reset(rows: Rows) -> None:
    rows["events"].remove(last(rows, "output.reset"))


def another_result(rows: Rows) -> None:
    next(row for row in rows["artifacts"] if row["name"] == "result.md")["sha256"] = "0" * 64


def no_last_word(rows: Rows) -> None:
    rows["events"].remove(last(rows, "output.final"))


def say_more_after_the_end(rows: Rows) -> None:
    rows["events"].append({**last(rows, "output.delta"), "seq": 10_000})


def stream_what_is_not_live(rows: Rows) -> None:
    quiet = next(row for row in rows["jobs"] if not row["live"])
    rows["events"].append({**last(rows, "output.delta"), "job_id": quiet["id"], "seq": 10_000})


def taken_up(rows: Rows) -> list[Rows]:
    return [line for line in rows["provider_log"] if line["call"] == "stream"]


def go_back(rows: Rows) -> None:
    line = taken_up(rows)[-1]
    rows["provider_log"].append({**line, "starting_after": "0"})


def lose_the_cursor(rows: Rows) -> None:
    run = taken_up(rows)[-1]["response_id"]
    next(row for row in rows["attempts"] if row["provider_response_id"] == run)["stream_seq"] = None


SPOILS: list[tuple[str, Callable[[Rows], None]]] = [
    ("S1", alter_a_piece), ("S1", forget_the_reset), ("S1", another_result), ("S1", no_last_word),
    ("S2", say_more_after_the_end), ("S2", stream_what_is_not_live), ("S3", go_back), ("S3", lose_the_cursor),
]  # fmt: skip


async def test_every_planted_corruption_of_a_stream_is_found_under_its_name(working: Place) -> None:
    good = await evidence_of(working)
    assert check(good).ok, check(good).lines()
    for invariant, spoil in SPOILS:
        rows = copy.deepcopy({one.name: getattr(good, one.name) for one in fields(good)})
        spoil(rows)
        found = {name for name, _ in check(replace(good, **rows)).violations}
        assert invariant in found, f"{spoil.__name__} went unnoticed ({found})"
    assert {name for name, _ in SPOILS} == set(STREAM_INVARIANTS)

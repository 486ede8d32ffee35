"""The checker of the interactive lane can fail: each planted corruption is found, under the right name."""

import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from backlane.service.control import retry
from backlane.service.message import message
from backlane.simulator.server import Running
from backlane.verify.collect import collect
from backlane.verify.evidence import Evidence
from backlane.verify.invariants import check
from backlane.verify.invariants_steer import STEER_INVARIANTS
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import fault, finished, script, submitted
from tests.story.steer_types import BROKEN, SLOW, WORDS, chatting, steer_app

Rows = dict[str, Any]


@pytest.fixture
async def steering(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with interactive types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=steer_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


async def evidence_of(place: Place) -> Evidence:
    """A job that was steered, one that continues it, one made again from its half, one lost and bought again."""
    ana = await place.caller()
    script(place, {"status": "incomplete", "text": "Half of it, and more to come."})
    half = await finished(place, ana, await submitted(place, ana, "chat"))
    again, _ = await retry(place.service.ports, ana, half["id"], start="partial")
    await finished(place, ana, again)
    script(place, SLOW)
    job = await chatting(place, ana)
    script(place, WORDS, times=2)
    await message(place.service.ports, ana, job.id, "Shorter, please.")
    await finished(place, ana, job)
    new, _ = await message(place.service.ports, ana, job.id, "Why?")
    await finished(place, ana, new)
    script(place, BROKEN, times=None)
    fault(place, "drop_stream", after=9)
    lost = await finished(place, ana, await submitted(place, ana, "chat-rebuy"))
    assert [one["reason"] for one in lost["attempts"]] == ["first", "rebuy"]
    log = list(place.simulator.world.log)
    return collect(place.service.store.database, provider_log=log)


def steered(rows: Rows) -> Rows:
    """The message to the running job."""
    return next(row for row in rows["messages"] if row["text"].startswith("Shorter"))


def turn_of(rows: Rows, attempt: str) -> Rows:
    return next(row for row in rows["turns"] if row["attempt_id"] == attempt)


def lost(rows: Rows) -> Rows:
    return next(row for row in rows["attempts"] if row["code"] == "stream_lost")


def continuing(rows: Rows) -> Rows:
    return next(row for row in rows["jobs"] if row["continues"])


def bought_in_the_background(rows: Rows) -> None:
    next(line for line in rows["provider_log"] if line["call"] == "create")["background"] = True


def stream_taken_up(rows: Rows) -> None:
    create = next(line for line in rows["provider_log"] if line["call"] == "create")
    rows["provider_log"].append({**create, "call": "stream"})


def bought_again_unasked(rows: Rows) -> None:
    next(row for row in rows["attempts"] if row["reason"] == "rebuy")["reason"] = "provider_failed"


def lost_and_called_failed(rows: Rows) -> None:
    lost(rows)["state"] = "failed"


def word_not_taken_up(rows: Rows) -> None:
    steered(rows)["attempt_id"] = None


def word_passed_over(rows: Rows) -> None:
    said = steered(rows)["id"]
    told = next(row for row in rows["events"] if row["type"] == "job.messaged" and said in row["data"])
    told["seq"] = 0


def word_taken_up_elsewhere(rows: Rows) -> None:
    steered(rows)["attempt_id"] = lost(rows)["id"]


def word_left_out(rows: Rows) -> None:
    turn_of(rows, steered(rows)["attempt_id"])["items"] = "[]"


def word_said_twice(rows: Rows) -> None:
    turn = turn_of(rows, steered(rows)["attempt_id"])
    items = json.loads(turn["items"])
    turn["items"] = json.dumps([*items, items[-1]])


def word_untold(rows: Rows) -> None:
    rows["events"] = [row for row in rows["events"] if row["type"] != "job.messaged"]


def word_to_nobody(rows: Rows) -> None:
    steered(rows)["job_id"] = "job_none"


def continues_nothing(rows: Rows) -> None:
    continuing(rows)["continues"] = "job_none"


def continues_another_type(rows: Rows) -> None:
    continuing(rows)["type"] = "digest"


def continues_an_open_job(rows: Rows) -> None:
    next(row for row in rows["jobs"] if row["id"] == continuing(rows)["continues"])["status"] = "running"


def gate_left_open(rows: Rows) -> None:
    next(row for row in rows["jobs"] if row["id"] == continuing(rows)["continues"])["gate"] = "output"


def goes_on_from_a_strange_run(rows: Rows) -> None:
    first = next(row for row in rows["attempts"] if row["job_id"] == continuing(rows)["id"])
    turn_of(rows, first["id"])["previous_response_id"] = lost(rows)["provider_response_id"]


def heir(rows: Rows) -> Rows:
    """The job that goes on from an unfinished answer."""
    return next(row for row in rows["jobs"] if row["retry_of"])


def half_of_a_stranger(rows: Rows) -> None:
    heir(rows)["retry_of"] = None


def half_that_is_gone(rows: Rows) -> None:
    rows["artifacts"] = [row for row in rows["artifacts"] if row["kind"] != "partial"]


def half_that_was_sent_back(rows: Rows) -> None:
    next(row for row in rows["artifacts"] if row["kind"] == "partial")["sent_back"] = True


def half_whose_gate_is_lost(rows: Rows) -> None:
    next(row for row in rows["jobs"] if row["id"] == heir(rows)["retry_of"])["gate"] = "output"


def half_that_was_copied(rows: Rows) -> None:
    first = next(row for row in rows["attempts"] if row["job_id"] == heir(rows)["id"])
    turn = turn_of(rows, first["id"])
    turn["items"] = json.dumps([{**item, "text": "Half"} for item in json.loads(turn["items"])])


SPOILS: list[tuple[str, Callable[[Rows], None]]] = [
    ("M1", bought_in_the_background), ("M1", stream_taken_up), ("M1", bought_again_unasked),
    ("M1", lost_and_called_failed), ("M2", word_not_taken_up), ("M2", word_passed_over),
    ("M2", word_taken_up_elsewhere), ("M2", word_left_out), ("M2", word_said_twice), ("M2", word_untold),
    ("M2", word_to_nobody), ("M3", continues_nothing), ("M3", continues_another_type),
    ("M3", continues_an_open_job), ("M3", gate_left_open), ("M3", goes_on_from_a_strange_run),
    ("M4", half_of_a_stranger), ("M4", half_that_is_gone), ("M4", half_that_was_sent_back),
    ("M4", half_whose_gate_is_lost), ("M4", half_that_was_copied),
]  # fmt: skip


async def test_every_planted_corruption_of_steering_is_found(steering: Place) -> None:
    good = await evidence_of(steering)
    report = check(good)
    assert report.ok, report.lines()
    names = [field.name for field in fields(good)]
    for invariant, spoil in SPOILS:
        rows = copy.deepcopy({name: getattr(good, name) for name in names})
        spoil(rows)
        found = {name for name, _ in check(replace(good, **rows)).violations}
        assert invariant in found, f"{spoil.__name__} went unnoticed ({found})"
    assert {name for name, _ in SPOILS} == set(STEER_INVARIANTS)

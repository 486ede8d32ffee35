"""The provider does what nobody could read up one way or the other: the product works either way."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.service import control
from backlane.service.message import message
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import contents, creates, fault, finished, script, submitted, verified
from tests.story.live_acts import RUN, lived, types_of
from tests.story.steer_types import bodies, steer_app
from tests.story.test_live_ends import SLOW, streaming
from tests.values import small_app


@pytest.mark.parametrize("first", [0, 1])
async def test_a_stream_may_begin_at_zero_or_one(working: Place, first: int) -> None:
    working.simulator.profile(first_number=first)
    fault(working, "drop_stream", after=first + 4, times=2)
    script(working, RUN)
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    assert "output.reset" not in types_of(life)
    assert creates(working) == 1
    verified(working)


@pytest.mark.parametrize("answer", ["empty", "refuse"])
async def test_a_stream_taken_up_after_its_last_event_costs_no_word(working: Place, answer: str) -> None:
    """A canceled run's stream that ends without a word is taken up where nothing more comes."""
    working.simulator.profile(beyond_the_end=answer, cancelled_stream="nothing")
    ana = await working.caller()
    script(working, SLOW)
    job = await submitted(working, ana, "plain", live=True)
    await streaming(working, ana, job.id, 2)
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    assert view["status"] == "canceled"
    partial = (await contents(working, ana, view))["partial"]
    assert partial and RUN["text"].startswith(partial)
    verified(working)


@pytest.mark.parametrize(("counted", "short"), [("exclusive", 0), ("inclusive", 1)])
async def test_a_citation_stays_within_the_text_however_its_end_is_counted(
    working: Place, counted: str, short: int
) -> None:
    working.simulator.profile(end_index=counted)
    script(working, {"text": "Otters float.", "citations": [{"quote": "float", "url": "https://u.test"}]})
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana, "plain"))
    kept: Any = await contents(working, ana, view)
    (row,) = json.loads(kept["citations"])
    assert kept["result"][row["start"] : row["end"]] == row["claim"] == "float"[: 5 - short]
    assert view["status"] == "completed"
    verified(working)


async def test_a_parent_that_is_gone_may_be_taken_all_the_same(tmp_path: Path, simulator: Running) -> None:
    """Where the provider does not refuse such a run there is nothing to send anew, and one is bought."""
    simulator.profile(deleted_parent="accept")
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=steer_app(small_app()), log=lambda line: None)
    await service.start_worker()
    place = Place(service, simulator, settings)
    ana = await place.caller()
    old = await finished(place, ana, await submitted(place, ana, "chat"))
    for run in simulator.world.runs.values():
        run.deleted = True
    job, _ = await message(service.ports, ana, old["id"], "Why?")
    view = await finished(place, ana, job)
    assert (view["status"], len(view["attempts"]), creates(place)) == ("completed", 1, 2)
    assert "previous_response_id" in bodies(place)[-1]
    verified(place)
    await service.drain(grace=0.1)

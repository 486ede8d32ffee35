"""How live jobs end otherwise: canceled, failed, silent, gated, handed over, killed; nothing is lost or leaked."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane.errors import NotAvailable
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import contents, creates, ended, fault, finished, script, seen, submitted, verified
from tests.story.live_acts import RUN, events, joined, lived, types_of
from tests.story.test_processes import work
from tests.values import small_app

# Long enough to be met in the middle.
SLOW = {**RUN, "running_seconds": 4.0}


@pytest.fixture
async def impatient(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service that waits 0.3 s for a silent stream, and whose worker runs."""
    settings = settings_for(tmp_path, simulator, stream_silence=0.3)
    service = build(settings, types=small_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, settings)
    await service.drain(grace=5)


async def streaming(place: Place, caller: Any, job_id: str, pieces: int = 1) -> list[dict[str, Any]]:
    """The job's events, once so many pieces of its text are there."""
    for _ in range(1500):
        told = await events(place, caller, job_id)
        if [event["type"] for event in told].count("output.delta") >= pieces:
            return told
        await asyncio.sleep(0.01)
    raise AssertionError([event["type"] for event in told])


async def test_a_stream_that_falls_silent_is_taken_up_again(impatient: Place) -> None:
    fault(impatient, "silent_stream", after=6, seconds=60)
    script(impatient, RUN)
    life = await lived(impatient)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    assert impatient.simulator.world.stats()["streams"] == 1
    assert creates(impatient) == 1
    verified(impatient)


async def test_a_stream_that_falls_silent_after_every_event_still_ends(impatient: Place) -> None:
    fault(impatient, "silent_stream", after=6, seconds=600, times=None)
    script(impatient, RUN)
    life = await lived(impatient)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    assert impatient.simulator.world.stats()["streams"] > 1
    assert creates(impatient) == 1
    verified(impatient)


async def test_a_stream_older_than_the_provider_allows_is_followed_by_looks(working: Place) -> None:
    working.simulator.world.switches.stream_seconds = 0.3
    fault(working, "drop_stream", after=12)
    script(working, {**RUN, "running_seconds": 1.0})
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    stats = working.simulator.world.stats()
    assert (stats["creates"], stats["streams"]) == (1, 1)
    assert stats["retrieves"] >= 1
    verified(working)


@pytest.mark.parametrize("bought", [True, False])
async def test_a_create_that_breaks_before_it_names_its_run_is_never_sent_again(
    working: Place, bought: bool
) -> None:
    ana = await working.caller()
    if bought:
        fault(working, "drop_stream", after=-1)
    else:
        working.simulator.world.switches.early_errors = "nested"
        fault(working, "server_error")
    job = await submitted(working, ana, "digest", live=True)
    view = await finished(working, ana, job)
    assert view["phase"] == "submission_unknown"
    assert creates(working) == 1
    runs = list(working.simulator.world.runs)
    if bought:
        olga = await working.caller("olga", "operator")
        await control.resolve(working.service.ports, olga, job.id, "attach", provider_response_id=runs[0])
        view = await seen(working, ana, job.id, lambda one: one["status"] == "completed")
        result = (await contents(working, ana, view))["result"]
        assert joined(await events(working, ana, job.id))
        assert result
    assert len(runs) == int(bought)
    verified(working)


async def test_what_a_canceled_run_had_streamed_is_kept_as_partial(working: Place) -> None:
    ana = await working.caller()
    script(working, SLOW)
    job = await submitted(working, ana, "plain", live=True)
    await streaming(working, ana, job.id, 2)
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    told = await events(working, ana, job.id)
    assert view["status"] == "canceled"
    assert working.simulator.world.stats()["runs"] == {"cancelled": 1}
    assert (await contents(working, ana, view))["partial"] == joined(told)
    assert RUN["text"].startswith(joined(told))
    assert joined(told)
    assert "output.final" not in types_of({"told": told})
    verified(working)


async def test_the_text_of_a_run_that_failed_is_taken_back_before_the_next_one_writes(working: Place) -> None:
    fault(working, "failed", code="server_error")
    script(working, {**RUN, "text": "The first words. " * 9})
    script(working, RUN)
    life = await lived(working)
    assert (life["status"], len(life["attempts"])) == ("completed", 2)
    assert life["joined"] == life["result"] == RUN["text"]
    kinds = types_of(life)
    assert kinds.count("output.reset") == 1
    assert "output.delta" in kinds[: kinds.index("output.reset")]
    reset = next(event for event in life["told"] if event["type"] == "output.reset")
    assert reset["data"] == {"attempt": life["attempts"][1]["id"], "reason": "next_attempt"}
    parts = [row for row in life["artifacts"] if row["kind"] == "partial"]
    assert len(parts) == 1
    verified(working)


async def test_text_that_the_answer_does_not_begin_with_is_replaced_whole(working: Place) -> None:
    """A fault of the provider: what it streamed and what it says in the end differ."""
    told = "response.output_text.delta"
    fields = {"item_id": "msg", "output_index": 0, "content_index": 0, "delta": "Never said. "}
    fault(working, "unknown_event", after=4, type=told, fields=fields)
    script(working, RUN)
    life = await lived(working)
    assert life["joined"] == life["result"] == RUN["text"]
    kinds = types_of(life)
    reset = kinds.index("output.reset")
    assert "output.delta" in kinds[:reset]
    assert set(kinds[reset + 1 : -1]) == {"output.delta"}
    assert kinds[-1] == "output.final"
    verified(working)


async def test_a_gated_live_job_shows_its_submitter_that_it_writes_and_nothing_of_what(
    working: Place,
) -> None:
    ana, rita = await working.caller(), await working.caller("rita", "reviewer")
    job = await submitted(working, ana, "draft", live=True)
    view = await finished(working, ana, job)
    assert view["status"] == "needs_review"
    closed = [one for one in await events(working, ana, job.id) if one["type"].startswith("output.")]
    opened = [one for one in await events(working, rita, job.id) if one["type"].startswith("output.")]
    assert [one["seq"] for one in closed] == [one["seq"] for one in opened]
    deltas = [one for one in closed if one["type"] == "output.delta"]
    assert deltas
    assert all(one["data"] == {} for one in deltas)
    assert joined(opened)
    verified(working)


async def test_a_drain_lets_go_of_a_stream_at_once_and_the_next_worker_reads_on(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, lease=3600)
    first = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    await first.service.start_worker()
    ana = await first.caller()
    script(first, SLOW)
    job = await submitted(first, ana, "plain", live=True)
    before = await streaming(first, ana, job.id, 2)
    await first.service.drain(grace=600)
    second = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    view = await read_job(second.service.ports, ana, job.id)
    assert view["status"] == "running"
    await second.service.start_worker()
    view = await finished(second, ana, job)
    after = await events(second, ana, job.id)
    assert after[: len(before)] == before
    assert joined(after) == (await contents(second, ana, view))["result"] == RUN["text"]
    assert creates(second) == 1
    verified(second)
    await second.service.drain(grace=5)


@pytest.mark.parametrize("armed", ["delta:1", "delta:2", "delta:4", "streamed:1"])
async def test_a_worker_killed_in_mid_stream_leaves_text_that_the_next_one_completes(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    ana = await outside.caller()
    # At most half of a worker's room may be taken by streams, and none of these jobs is blamed.
    script(outside, SLOW, times=None)
    jobs = [(await submitted(outside, ana, "plain", live=True)).id for _ in range(3)]
    assert await work(outside, tmp_path, armed) == -signal.SIGKILL
    early = [await events(outside, ana, job) for job in jobs]
    assert await work(outside, tmp_path) == 0
    bought = 0
    for job, before in zip(jobs, early, strict=True):
        view = await read_job(outside.service.ports, ana, job)
        told = await events(outside, ana, job)
        assert view["status"] == "completed"
        assert told[: len(before)] == before
        assert joined(told) == (await contents(outside, ana, view))["result"] == RUN["text"]
        # The type buys anew what was lost before its first event; a stream that had begun is read on.
        bought += len(view["attempts"])
        assert len(view["attempts"]) == 1 or not any(one["type"] == "output.delta" for one in before)
    assert creates(outside) == bought
    assert outside.simulator.world.stats()["duplicates"] == 0
    verified(outside)


async def test_streams_take_half_of_a_worker_s_room_and_the_rest_are_looked_at(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, slots=2)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    await place.service.start_worker()
    ana = await place.caller()
    script(place, SLOW, times=None)
    jobs = [await submitted(place, ana, "plain", live=True) for _ in range(3)]
    streams, at_once = place.service.ports.streams, set[int]()

    def all_ended(view: dict[str, Any]) -> bool:
        at_once.add(len(streams.listening()))
        return ended(view)

    for job in jobs:
        await seen(place, ana, job.id, all_ended)
    assert max(at_once) == 1
    for job in jobs:
        view = await finished(place, ana, job)
        assert joined(await events(place, ana, job.id)) == (await contents(place, ana, view))["result"]
    assert place.simulator.world.stats()["retrieves"] > 0
    assert creates(place) == 3
    verified(place)
    await place.service.drain(grace=5)


async def test_live_with_a_window_is_refused_with_the_reason(place: Place) -> None:
    ana = await place.caller()
    with pytest.raises(NotAvailable, match="window 2h cannot be streamed live"):
        await submitted(place, ana, "plain", live=True, window="2h")


async def test_a_cancel_that_nobody_confirms_ends_the_job_and_its_text_stays(working: Place) -> None:
    ana = await working.caller()
    script(working, SLOW)
    job = await submitted(working, ana, "plain", live=True)
    await streaming(working, ana, job.id)
    fault(working, "gone", times=None)
    fault(working, "cancel_404", times=None)
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await seen(working, ana, job.id, ended)
    told = await events(working, ana, job.id)
    assert view["status"] == "canceled"
    assert (await contents(working, ana, view))["partial"] == joined(told)
    verified(working)


async def test_a_provider_that_answers_without_a_stream_is_looked_at_and_the_text_comes_whole(
    working: Place,
) -> None:
    """The create goes out without `stream`, as a server that does not know it would take it."""
    provider: Any = working.service.ports.provider
    provider.open_stream = provider.create
    script(working, RUN)
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    stats = working.simulator.world.stats()
    assert (stats["creates"], stats["streams"]) == (1, 0)
    verified(working)


async def test_a_stream_that_cannot_be_had_is_given_up_after_five_tries_in_vain(working: Place) -> None:
    fault(working, "drop_stream", after=4)
    fault(working, "refuse_stream", status=503, times=None)
    script(working, {**RUN, "running_seconds": 6.0})
    life = await lived(working)
    assert (life["status"], life["joined"]) == ("completed", RUN["text"])
    stats = working.simulator.world.stats()
    assert (stats["creates"], stats["streams"]) == (1, 5)
    verified(working)


async def test_a_job_that_was_changed_under_its_stream_gets_no_more_of_its_text(working: Place) -> None:
    """Nobody claims the job that is canceled here: the stream itself must see that it may not go on."""
    ana = await working.caller()
    script(working, SLOW)
    job = await submitted(working, ana, "plain", live=True)
    await streaming(working, ana, job.id)
    working.service.pump.stop()
    await control.cancel(working.service.ports, ana, job.id, None)
    while working.service.ports.streams.listening():
        await asyncio.sleep(0.01)
    told = [event["type"] for event in await events(working, ana, job.id)]
    assert told.count("job.cancel_requested") == 1
    assert "output.delta" not in told[told.index("job.cancel_requested") :]


async def test_a_cancel_reaches_a_stream_that_says_nothing(working: Place) -> None:
    ana = await working.caller()
    fault(working, "silent_stream", after=2, seconds=600)
    script(working, {**SLOW, "running_seconds": 600})
    job = await submitted(working, ana, "plain", live=True)
    await seen(working, ana, job.id, lambda view: view["status"] == "running")
    await control.cancel(working.service.ports, ana, job.id, None)
    assert (await finished(working, ana, job))["status"] == "canceled"
    for _ in range(500):
        if not working.service.ports.streams.listening():
            break
        await asyncio.sleep(0.01)
    assert not working.service.ports.streams.listening()
    verified(working)


async def test_a_live_run_that_writes_without_end_is_capped_and_marked(
    tmp_path: Path, simulator: Running
) -> None:
    """Followers get text up to the cap; the job says that its result is too large, and keeps the beginning."""
    settings = settings_for(tmp_path, simulator, reply_at_most=20_000)
    service = build(settings, types=small_app(), log=lambda line: None)
    place = Place(service, simulator, settings)
    await service.start_worker()
    ana = await place.caller()
    script(place, {"text_characters": 200_000, "running_seconds": 0.5})
    job = await submitted(place, ana, "plain", live=True)
    view = await finished(place, ana, job)
    assert (view["status"], view["failure"]["code"]) == ("failed", "result_too_large")
    assert [row["name"] for row in view["artifacts"]] == ["partial-truncated.md"]
    told = await events(place, ana, job.id)
    written = joined(told)
    assert 0 < len(written) <= 20_000 + 2 * 4_096
    # What followers have is the run's own words, and it is what is kept; the reply's head in JSON is neither.
    [run] = place.simulator.world.runs.values()
    parts = [part for item in run.output for part in item.get("content", ())]
    assert "".join(part["text"] for part in parts).startswith(written)
    assert "output.reset" not in types_of({"told": told})
    assert (await contents(place, ana, view))["partial"] == written
    assert creates(place) == 1
    verified(place)
    await service.drain(grace=5)

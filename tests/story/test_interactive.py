"""The interactive lane over real HTTP: a worker holds the run; what is lost with its stream is asked about, once."""

import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backlane.errors import NotAvailable
from backlane.provider.accounts import AccountBook
from backlane.provider.calling import Account
from backlane.service import control
from backlane.service.open_case import open_case
from backlane.service.read import read_job
from backlane.service.submit import Submission, submit
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import TEXT, contents, creates, fault, finished, script, seen, submitted, verified
from tests.story.live_acts import events, joined, types_of
from tests.story.steer_types import BROKEN, SLOW, WORDS, bodies, chatting, steer_app
from tests.story.test_processes import work


@pytest.fixture
async def steering(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with interactive types whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=steer_app(), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


def waits_for_operator(view: dict[str, Any]) -> bool:
    return view["phase"] == "submission_unknown"


async def test_an_interactive_job_streams_in_the_foreground_and_says_what_is_weaker(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "running_seconds": 0.6})
    job = await submitted(steering, ana, "chat")
    view = await finished(steering, ana, job)
    told = await events(steering, ana, job.id)
    assert (view["status"], view["lane"], view["live"]) == ("completed", "interactive", True)
    assert joined(told) == (await contents(steering, ana, view))["result"] == WORDS["text"]
    assert types_of({"told": told}).count("output.delta") > 1
    assert "output.reset" not in types_of({"told": told})
    [said] = [row["reason"] for row in view["lane_reasons"] if row["lane"] == "interactive"]
    assert said == "a worker holds it; a crash loses the run and asks"
    assert [one["data"]["reason"] for one in told if one["type"] == "lane.chosen"] == [said]
    [sent] = bodies(steering)
    assert ("background" in sent, sent["stream"]) == (False, True)
    assert float(view["cost"]["settled"]) > 0
    stats = steering.simulator.world.stats()
    assert (stats["creates"], stats["streams"], stats["retrieves"]) == (1, 0, 0)
    verified(steering)


@pytest.mark.parametrize(
    ("name", "asked", "lane"),
    [
        ("either", None, "interactive"),
        ("other-way-round", None, "background"),
        ("other-way-round", "interactive", "interactive"),
        ("either", "background", "background"),
    ],
)
async def test_the_type_s_first_lane_is_taken_unless_another_is_asked_for(
    place: Place, name: str, asked: str | None, lane: str
) -> None:
    ports = replace(place.service.ports, types=steer_app())
    ana = await place.caller()
    job, _ = await submit(
        ports, ana, Submission(type=name, inputs={"text": TEXT}, lane=asked), key=None, body_hash=""
    )
    assert job.lane == lane
    reasons = {row["lane"]: row["reason"] for row in job.lane_reasons}
    if lane == "interactive":
        assert "a crash loses the run" in reasons["interactive"]


async def test_a_server_without_background_mode_is_used_by_the_interactive_lane_only(steering: Place) -> None:
    steering.simulator.world.switches.background = False
    ana = await steering.caller()
    known = Account("sk-test-canary-5f2d", f"{steering.simulator.url}/v1", simulated=True, background=False)
    ports = replace(steering.service.ports, accounts=AccountBook({"default": known}))
    asked = Submission(type="other-way-round", inputs={"text": TEXT})
    job, _ = await submit(ports, ana, asked, key=None, body_hash="")
    assert job.lane == "interactive"
    [said] = [row for row in job.lane_reasons if row["lane"] == "background"]
    assert (said["verdict"], said["reason"]) == ("no", "the provider account has no background mode")
    assert (await finished(steering, ana, job))["status"] == "completed"
    with pytest.raises(NotAvailable, match="no background mode"):
        await submit(ports, ana, replace(asked, lane="background"), key=None, body_hash="")
    refused = await finished(steering, ana, await submitted(steering, ana, "other-way-round"))
    assert (refused["status"], refused["failure"]["code"]) == ("failed", "request_refused")
    verified(steering)


async def test_a_connection_dropped_in_the_middle_loses_the_run_and_asks(steering: Place) -> None:
    ana, olga = await steering.caller(), await steering.caller("olga", "operator")
    script(steering, BROKEN)
    fault(steering, "drop_stream", after=9)
    job = await submitted(steering, ana, "chat")
    view = await finished(steering, ana, job)
    assert (view["status"], view["phase"]) == ("needs_review", "submission_unknown")
    [lost] = view["attempts"]
    assert (lost["state"], lost["code"]) == ("unknown", "stream_lost")
    assert view["cost"]["unpriced"] == 1
    said = "The provider took the request; its stream was lost, and nobody knows how the run ended"
    assert view["outcome"]["headline"] == view["progress"]["text"] == said
    case, _ = await open_case(steering.service.ports, olga, job.id, "she waits", None)
    assert case["failure"] == said
    told = joined(await events(steering, ana, job.id))
    assert told and WORDS["text"].startswith(told)
    assert (await contents(steering, ana, view))["partial"].startswith(told)
    assert creates(steering) == 1
    await control.resolve(steering.service.ports, olga, job.id, "run_again")
    script(steering, WORDS)
    view = await seen(steering, ana, job.id, lambda one: one["status"] == "completed")
    whole = await events(steering, ana, job.id)
    assert [one["reason"] for one in view["attempts"]] == ["first", "person"]
    assert types_of({"told": whole}).count("output.reset") == 1
    assert joined(whole) == (await contents(steering, ana, view))["result"]
    assert creates(steering) == 2
    verified(steering)


async def test_a_lost_run_that_is_attached_ends_the_job_as_it_ended_and_is_not_asked_about_again(
    steering: Place,
) -> None:
    ana, olga = await steering.caller(), await steering.caller("olga", "operator")
    script(steering, BROKEN)
    fault(steering, "drop_stream", after=9)
    job = await submitted(steering, ana, "chat")
    view = await finished(steering, ana, job)
    run = view["attempts"][0]["provider_response_id"]
    assert view["phase"] == "submission_unknown"
    await control.resolve(steering.service.ports, olga, job.id, "attach", provider_response_id=run)
    view = await seen(steering, ana, job.id, lambda one: one["status"] != "queued")
    assert (view["status"], view["failure"]["code"]) == ("failed", "stopped_at_provider")
    assert [one["state"] for one in view["attempts"]] == ["canceled"]
    assert [row["kind"] for row in view["artifacts"]].count("partial") == 1
    assert creates(steering) == 1
    verified(steering)


async def test_a_lost_run_is_bought_once_more_where_the_type_says_so(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, BROKEN, times=None)
    fault(steering, "drop_stream", after=9)
    job = await submitted(steering, ana, "chat-rebuy")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert [(one["reason"], one["state"]) for one in view["attempts"]] == [
        ("first", "unknown"),
        ("rebuy", "completed"),
    ]
    fault(steering, "drop_stream", after=9, times=None)
    job = await submitted(steering, ana, "chat-rebuy")
    view = await finished(steering, ana, job)
    assert (view["phase"], len(view["attempts"])) == ("submission_unknown", 2)
    assert creates(steering) == 4
    verified(steering)


async def test_a_run_that_ended_after_its_stream_had_broken_is_found_by_a_look(
    steering: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "running_seconds": 0.3})
    fault(steering, "end_stream_early", after=9)
    # The server goes on although the connection is gone, as some do; until its end it shows no such run.
    monkeypatch.setattr(steering.simulator.world, "abandon", lambda run: None)
    job = await submitted(steering, ana, "chat")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    told = await events(steering, ana, job.id)
    assert joined(told) == (await contents(steering, ana, view))["result"] == WORDS["text"]
    assert creates(steering) == 1
    verified(steering)


async def test_a_cancel_closes_the_stream_and_keeps_what_was_written(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana)
    await control.cancel(steering.service.ports, ana, job.id, None)
    view = await finished(steering, ana, job)
    assert view["status"] == "canceled"
    assert steering.simulator.world.stats()["runs"] == {"cancelled": 1}
    told = joined(await events(steering, ana, job.id))
    assert told and (await contents(steering, ana, view))["partial"].startswith(told)
    assert (view["cost"]["settled"], view["cost"]["unpriced"]) == (None, 1)
    assert creates(steering) == 1
    verified(steering)


async def test_the_window_ends_an_interactive_job_too(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    view = await finished(steering, ana, await submitted(steering, ana, "chat-short"))
    assert view["status"] == "expired"
    assert steering.simulator.world.stats()["runs"] == {"cancelled": 1}
    assert creates(steering) == 1
    verified(steering)


async def test_an_interactive_draft_waits_at_its_gate(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, WORDS)
    job = await submitted(steering, ana, "chat-draft")
    view = await finished(steering, ana, job)
    assert (view["status"], view["phase"]) == ("needs_review", "output")
    told = await events(steering, ana, job.id)
    assert not any("text" in one["data"] for one in told)
    verified(steering)


async def test_a_gap_in_a_foreground_stream_costs_no_word_and_no_run(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, WORDS)
    fault(steering, "gap_in_events", at=8, count=2)
    job = await submitted(steering, ana, "chat")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert joined(await events(steering, ana, job.id)) == WORDS["text"]
    assert creates(steering) == 1
    verified(steering)


@pytest.mark.parametrize(("name", "count"), [("chat", 1), ("chat-rebuy", 2)])
async def test_a_worker_killed_in_the_middle_asks_or_buys_once_more(
    outside: Place, tmp_path: Path, name: str, count: int
) -> None:
    ana = await outside.caller()
    script(outside, {**WORDS, "running_seconds": 1.5}, times=None)
    job = await submitted(outside, ana, name)
    assert await work(outside, tmp_path, "delta:3") == -signal.SIGKILL
    assert creates(outside) == 1
    assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    if count == 1:
        assert (view["phase"], view["attempts"][0]["code"]) == ("submission_unknown", "stream_lost")
    else:
        assert (view["status"], [one["reason"] for one in view["attempts"]]) == (
            "completed",
            ["first", "rebuy"],
        )
        assert joined(await events(outside, ana, job.id)) == WORDS["text"]
    assert creates(outside) == count
    assert outside.simulator.world.stats()["duplicates"] == 0
    verified(outside)


async def test_a_stopping_worker_lets_an_interactive_run_end_first(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "running_seconds": 1.5})
    job = await chatting(steering, ana)
    service = steering.service
    service.pump.stop()
    service.ports.streams.drain()
    await service.ports.streams.stayed(20)
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    verified(steering)


async def test_a_stopping_worker_that_cannot_wait_loses_the_run_and_it_is_asked_about(
    steering: Place,
) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana)
    await steering.service.ports.streams.stayed(0.01)
    view = await finished(steering, ana, job)
    assert (view["phase"], creates(steering)) == ("submission_unknown", 1)
    told = joined(await events(steering, ana, job.id))
    assert told and (await contents(steering, ana, view))["partial"].startswith(told)
    verified(steering)

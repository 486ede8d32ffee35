"""People speak to jobs: a running one is stopped and goes on with their words, one that ended goes on as a new one."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.errors import IdempotencyConflict, NotAllowed, NotFound, RoleRequired
from backlane.service import control
from backlane.service.message import message
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import (
    TEXT,
    contents,
    creates,
    fault,
    finished,
    script,
    seen,
    submitted,
    verified,
)
from tests.story.live_acts import events, joined, types_of
from tests.story.steer_types import SLOW, WORDS, bodies, chatting, steer_app, talking
from tests.story.test_processes import work
from tests.values import small_app

SHORTER = "Shorter, please."


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": text}


def wrote(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": text}


@pytest.fixture
async def steering(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with interactive types and the small app's, whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=steer_app(small_app()), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


@pytest.fixture
async def idle(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """The same with a worker that does not run yet."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=steer_app(small_app()), log=lambda line: None)
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


async def say(place: Place, caller: Any, job_id: str, text: str = SHORTER, **more: Any) -> Any:
    job, _ = await message(place.service.ports, caller, job_id, text, **more)
    return job


async def test_a_running_answer_is_stopped_and_goes_on_with_the_person_s_words(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana)
    before = joined(await events(steering, ana, job.id))
    script(steering, {**WORDS, "text": "Otters rest."})
    assert (await say(steering, ana, job.id)).id == job.id
    view = await finished(steering, ana, job)
    told = await events(steering, ana, job.id)
    assert (view["status"], view["continues"]) == ("completed", None)
    assert [(one["reason"], one["state"], one["code"]) for one in view["attempts"]] == [
        ("first", "canceled", "steered"),
        ("next_turn", "completed", None),
    ]
    assert types_of({"told": told}).count("output.reset") == 1
    assert joined(told) == (await contents(steering, ana, view))["result"] == "Otters rest."
    first, second = bodies(steering)
    asked, partial, words = second["input"]
    assert asked == user(first["input"])
    assert partial["role"] == "assistant" and partial["content"].startswith(before)
    assert WORDS["text"].startswith(partial["content"]) and words == user(SHORTER)
    assert ("previous_response_id" in second, second["instructions"]) == (False, "Answer.")
    assert steering.simulator.world.stats()["runs"] == {"cancelled": 1, "completed": 1}
    [heard] = [one for one in told if one["type"] == "job.messaged"]
    assert (heard["actor"], heard["data"]["characters"], SHORTER in str(told)) == ("ana", 16, False)
    assert view["cost"]["unpriced"] == 1
    assert creates(steering) == 2
    verified(steering)


async def test_two_messages_before_the_next_turn_are_taken_up_in_order_by_one(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana)
    script(steering, WORDS, times=None)
    await asyncio.gather(say(steering, ana, job.id, "One."), say(steering, ana, job.id, "Two."))
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    last = bodies(steering)[-1]["input"]
    heard = [item["content"] for item in last if item["role"] == "user"][1:]
    assert sorted(heard) == ["One.", "Two."]
    assert creates(steering) == len(view["attempts"]) - sum(
        one["sent_at"] is None for one in view["attempts"]
    )
    verified(steering)


async def test_words_said_before_anything_was_sent_travel_with_the_first_run(idle: Place) -> None:
    ana = await idle.caller()
    job = await submitted(idle, ana, "chat")
    await say(idle, ana, job.id)
    await idle.service.start_worker()
    view = await finished(idle, ana, job)
    assert [(one["reason"], one["state"]) for one in view["attempts"]] == [("first", "completed")]
    assert bodies(idle)[0]["input"] == [user(TEXT), user(SHORTER)]
    assert creates(idle) == 1
    verified(idle)


async def test_words_that_come_when_the_run_has_just_ended_go_on_from_its_answer(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, WORDS)
    fault(steering, "silent_stream", after=9, seconds=60)
    job = await submitted(steering, ana, "chat")
    await seen(steering, ana, job.id, lambda _: "completed" in steering.simulator.world.stats()["runs"])
    script(steering, {**WORDS, "text": "Done."})
    await say(steering, ana, job.id)
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    assert [one["state"] for one in view["attempts"]] == ["completed", "completed"]
    last = bodies(steering)[-1]
    assert last["previous_response_id"] == view["attempts"][0]["provider_response_id"]
    assert last["input"] == [user(SHORTER)]
    assert [row["kind"] for row in view["artifacts"]] == ["result"]
    assert joined(await events(steering, ana, job.id)) == "Done."
    verified(steering)


async def test_an_answer_steered_twice_keeps_all_that_was_said(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana)
    script(steering, {**SLOW, "text": "Something quite different. " * 8})
    await say(steering, ana, job.id, "Otherwise.")
    await seen(steering, ana, job.id, lambda one: len(one["attempts"]) == 2)
    await talking(steering, ana, job, 2)
    script(steering, {**WORDS, "text": "Done."})
    await say(steering, ana, job.id, "And shorter.")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    said = [(one["role"], one["content"][:10]) for one in bodies(steering)[-1]["input"][1:]]
    assert said == [
        ("assistant", "Otters res"),
        ("user", "Otherwise."),
        ("assistant", "Something "),
        ("user", "And shorte"),
    ]
    assert joined(await events(steering, ana, job.id)) == "Done."
    assert creates(steering) == 3
    verified(steering)


async def test_words_said_while_tools_run_go_with_their_answers(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, {"tool_calls": [{"name": "look_up", "arguments": {"name": "slowly"}}]})
    script(steering, {"text": "Ana is known."})
    job = await submitted(steering, ana, "chat-tools")
    await seen(steering, ana, job.id, lambda one: one["phase"] == "tool")
    await say(steering, ana, job.id, "Only her name.")
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    second = bodies(steering)[1]
    assert second["previous_response_id"] == view["attempts"][0]["provider_response_id"]
    assert [item["type"] for item in second["input"]] == ["function_call_output", "message"]
    assert second["input"][1] == user("Only her name.")
    assert creates(steering) == 2
    verified(steering)


async def test_a_turn_after_tools_that_is_stopped_repeats_their_answers(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, {"tool_calls": [{"name": "look_up", "arguments": {"name": "ana"}}]})
    script(steering, SLOW)
    job = await chatting(steering, ana, "chat-tools")
    script(steering, {"text": "Known."})
    await say(steering, ana, job.id)
    view = await finished(steering, ana, job)
    assert view["status"] == "completed"
    last = bodies(steering)[-1]
    assert last["previous_response_id"] == view["attempts"][0]["provider_response_id"]
    assert [item["type"] for item in last["input"]] == ["function_call_output", "message", "message"]
    assert creates(steering) == 3
    verified(steering)


async def test_a_finished_job_goes_on_as_a_new_one_from_its_run(steering: Place) -> None:
    ana = await steering.caller()
    old = await finished(steering, ana, await submitted(steering, ana))
    script(steering, {"json": {"summary": "short", "themes": []}})
    job = await say(steering, ana, old["id"])
    assert job.id != old["id"]
    view = await finished(steering, ana, job)
    assert (view["status"], view["continues"], view["retry_of"]) == ("completed", old["id"], None)
    assert (view["type"], view["lane"]) == (old["type"], old["lane"])
    sent = bodies(steering)[-1]
    assert sent["previous_response_id"] == old["provider_response_id"]
    assert sent["input"] == [user(SHORTER)]
    assert [one["reason"] for one in view["attempts"]] == ["first"]
    again = await finished(steering, ana, await say(steering, ana, old["id"], "Longer."))
    assert (again["continues"], again["status"]) == (old["id"], "completed")
    third = await finished(steering, ana, await say(steering, ana, view["id"], "And now?"))
    assert bodies(steering)[-1]["previous_response_id"] == view["provider_response_id"]
    assert third["continues"] == view["id"]
    assert (await read_job(steering.service.ports, ana, old["id"]))["status"] == "completed"
    assert "message" in third["allowed"]
    assert creates(steering) == 4
    verified(steering)


async def test_history_is_sent_anew_where_the_provider_forgot_the_run(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, {**WORDS, "text": "Otters rest."})
    old = await finished(steering, ana, await submitted(steering, ana, "chat"))
    middle = await finished(steering, ana, await say(steering, ana, old["id"], "Why?"))
    steering.simulator.world.switches.retention_seconds = 0.0
    script(steering, {"text": "Because."})
    view = await finished(steering, ana, await say(steering, ana, middle["id"], "Really?"))
    assert view["status"] == "completed"
    assert [(one["reason"], one["state"]) for one in view["attempts"]] == [
        ("first", "refused"),
        ("refused", "completed"),
    ]
    answer = (await contents(steering, ana, middle))["result"]
    last = bodies(steering)[-1]
    assert "previous_response_id" not in last
    assert last["input"] == [
        user(TEXT),
        wrote("Otters rest."),
        user("Why?"),
        wrote(answer),
        user("Really?"),
    ]
    verified(steering)


@pytest.mark.parametrize("how", ["failed", "canceled"])
async def test_a_job_that_was_never_answered_goes_on_from_its_inputs(steering: Place, how: str) -> None:
    ana = await steering.caller()
    if how == "failed":
        fault(steering, "failed", code="invalid_prompt")
        job = await submitted(steering, ana, "chat")
    else:
        script(steering, SLOW)
        job = await chatting(steering, ana)
        await control.cancel(steering.service.ports, ana, job.id, None)
    old = await finished(steering, ana, job)
    assert old["status"] == how
    view = await finished(steering, ana, await say(steering, ana, job.id))
    assert (view["status"], view["continues"]) == ("completed", job.id)
    sent = bodies(steering)[-1]
    assert "previous_response_id" not in sent
    assert [sent["input"][0], sent["input"][-1]] == [user(TEXT), user(SHORTER)]
    partial = [row for row in old["artifacts"] if row["kind"] == "partial"]
    assert len(sent["input"]) == 2 + len(partial)
    verified(steering)


async def test_a_gated_job_s_successor_is_gated_too(steering: Place) -> None:
    ana = await steering.caller()
    job = await submitted(steering, ana, sensitive=True)
    view = await finished(steering, ana, job)
    assert view["phase"] == "sensitive" and "message" not in view["allowed"]
    with pytest.raises(NotAllowed):
        await say(steering, ana, job.id)
    await control.cancel(steering.service.ports, ana, job.id, None)
    new = await say(steering, ana, job.id)
    assert new.gate == "sensitive"
    assert (await finished(steering, ana, new))["phase"] == "sensitive"
    verified(steering)


async def test_only_the_requester_speaks_and_only_where_somebody_listens(steering: Place) -> None:
    ana, eve = await steering.caller(), await steering.caller("eve")
    olga = await steering.caller("olga", "operator")
    script(steering, {"running_seconds": 3})
    job = await submitted(steering, ana)
    view = await seen(steering, ana, job.id, lambda one: one["status"] == "running")
    assert view["allowed"] == ["cancel", "escalate"]
    with pytest.raises(NotAllowed) as refused:
        await say(steering, ana, job.id)
    assert refused.value.extra["allowed"] == ["cancel", "escalate"]
    with pytest.raises(RoleRequired):
        await say(steering, olga, job.id)
    with pytest.raises(NotFound):
        await say(steering, eve, job.id)
    await control.cancel(steering.service.ports, ana, job.id, None)
    assert "message" in (await finished(steering, ana, job))["allowed"]
    assert creates(steering) == 1
    verified(steering)


async def test_a_repeated_key_says_nothing_twice(steering: Place) -> None:
    ana = await steering.caller()
    old = await finished(steering, ana, await submitted(steering, ana))
    first = await say(steering, ana, old["id"], key="k", body_hash="h")
    assert (await say(steering, ana, old["id"], key="k", body_hash="h")).id == first.id
    with pytest.raises(IdempotencyConflict):
        await say(steering, ana, old["id"], "Other.", key="k", body_hash="other")
    await finished(steering, ana, first)
    assert creates(steering) == 2
    verified(steering)


async def test_the_route_says_what_it_made(steering: Place) -> None:
    ana = await steering.caller()
    old = await finished(steering, ana, await submitted(steering, ana, "chat"))
    script(steering, SLOW)
    job = await chatting(steering, ana)
    headers = {"Authorization": f"Bearer {await steering.key()}"}
    transport = httpx2.ASGITransport(app=steering.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        script(steering, WORDS, times=None)
        made = await http.post(f"/v1/jobs/{old['id']}/messages", json={"text": SHORTER})
        same = await http.post(f"/v1/jobs/{job.id}/messages", json={"text": SHORTER})
        for wrong in ({}, {"text": ""}, {"text": "x" * 20_001}, {"text": "x", "more": 1}):
            assert (await http.post(f"/v1/jobs/{job.id}/messages", json=wrong)).status_code == 422
        gone = await http.post("/v1/jobs/job_none/messages", json={"text": "x"})
    assert (made.status_code, made.json()["continues"]) == (202, old["id"])
    assert made.headers["location"] == f"/v1/jobs/{made.json()['id']}"
    assert (same.status_code, same.json()["id"], gone.status_code) == (202, job.id, 404)
    await finished(steering, ana, job)
    await seen(steering, ana, made.json()["id"], lambda one: one["status"] == "completed")
    verified(steering)


POINTS = ["steered:1", "planned:2", "sending:2", "answered:2", "delta:4"]


@pytest.mark.parametrize("armed", POINTS)
async def test_a_worker_killed_between_a_message_and_its_turn_loses_no_word(
    outside: Place, tmp_path: Path, armed: str
) -> None:
    ana = await outside.caller()
    script(outside, {**SLOW, "running_seconds": 20.0})
    script(outside, WORDS, times=None)
    job = await submitted(outside, ana, "chat-rebuy")
    dying = asyncio.create_task(work(outside, tmp_path, armed))
    await talking(outside, ana, job, 2)
    await say(outside, ana, job.id)
    assert await dying == -signal.SIGKILL
    assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert view["status"] == "completed"
    assert bodies(outside)[-1]["input"][-1] == user(SHORTER)
    assert joined(await events(outside, ana, job.id)) == WORDS["text"]
    assert outside.simulator.world.stats()["duplicates"] == 0
    verified(outside)


async def test_words_said_to_a_run_that_was_planned_and_not_sent_are_in_what_is_sent(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    script(outside, WORDS)
    job = await submitted(outside, ana, "chat")
    assert await work(outside, tmp_path, "planned:1") == -signal.SIGKILL
    await say(outside, ana, job.id)
    assert await work(outside, tmp_path) == 0
    view = await read_job(outside.service.ports, ana, job.id)
    assert view["status"] == "completed"
    assert [(one["reason"], one["state"]) for one in view["attempts"]] == [
        ("first", "canceled"),
        ("next_turn", "completed"),
    ]
    assert bodies(outside)[0]["input"] == [user(TEXT), user(SHORTER)]
    assert creates(outside) == 1
    verified(outside)

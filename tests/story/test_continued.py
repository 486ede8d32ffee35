"""What was said to a job that has ended is known to the job that goes on with it, whatever became of its last turn."""

import asyncio

from backlane.core.job import Job
from backlane.service import control, lanes, show
from backlane.service.access import Caller
from backlane.service.decide import decide
from tests.conftest import Place
from tests.story.acting import review_of
from tests.story.acts import TEXT, contents, events_of, fault, finished, script, seen, submitted, verified
from tests.story.steer_types import SLOW, WORDS, bodies, chatting, talking
from tests.story.test_decisions import answered, asked
from tests.story.test_messages import SHORTER, say, steering, user, wrote

__all__ = ["steering"]  # a fixture
FRENCH = "Only in French."


async def answered_unseen(place: Place, ana: Caller) -> Job:
    """A chat whose answer is there, and whose worker has not heard of it."""
    script(place, {**WORDS, "text": "Otters rest."})
    fault(place, "silent_stream", after=9, seconds=60)
    job = await submitted(place, ana, "chat")
    await seen(place, ana, job.id, lambda _: "completed" in place.simulator.world.stats()["runs"])
    return job


async def answered_and_steered(place: Place, ana: Caller) -> str:
    """A chat whose first answer came, and which was told more as it came: its second turn is at work."""
    job = await answered_unseen(place, ana)
    script(place, SLOW)
    await say(place, ana, job.id, FRENCH)
    await seen(place, ana, job.id, lambda one: len(one["attempts"]) == 2)
    await talking(place, ana, job, 2)
    return job.id


async def test_what_was_said_to_a_turn_that_was_stopped_is_known_to_what_goes_on(steering: Place) -> None:
    ana = await steering.caller()
    job_id = await answered_and_steered(steering, ana)
    await control.cancel(steering.service.ports, ana, job_id, None)
    old = await seen(steering, ana, job_id, lambda one: one["status"] == "canceled")
    assert [one["state"] for one in old["attempts"]] == ["completed", "canceled"]
    script(steering, {"text": "Fin."})
    view = await finished(steering, ana, await say(steering, ana, job_id))
    assert view["status"] == "completed"
    last = bodies(steering)[-1]
    partial = (await contents(steering, ana, old)).get("partial")
    stopped = [wrote(partial)] if partial else []
    assert "previous_response_id" not in last
    assert last["input"] == [user(TEXT), wrote("Otters rest."), user(FRENCH), *stopped, user(SHORTER)]
    verified(steering)


async def test_words_that_wait_for_a_held_lane_are_told_once_and_known_to_what_goes_on(
    steering: Place,
) -> None:
    ports, ana = steering.service.ports, await steering.caller()
    olga = await steering.caller("olga", "operator")
    job = await answered_unseen(steering, ana)
    await lanes.hold(ports, olga, "interactive", None, "a change of accounts")
    await say(steering, ana, job.id, FRENCH)
    await seen(steering, ana, job.id, lambda one: one["phase"] == "incident")
    await say(steering, ana, job.id, "Please.")
    # The worker looks again, and finds the lane still held.
    for _ in range(500):
        looked = await ports.store.read(lambda tx: tx.job(job.id))
        if looked is not None and looked.due_at is not None and looked.due_at > ports.clock.now():
            break
        await asyncio.sleep(0.01)
    told = [one["type"] for one in await events_of(steering, ana, job.id)]
    assert [told.count(one) for one in ("job.started", "job.requeued", "job.waiting")] == [1, 1, 1]
    await control.cancel(ports, ana, job.id, None)
    old = await seen(steering, ana, job.id, lambda one: one["status"] == "canceled")
    new = await say(steering, ana, job.id)
    await lanes.release(ports, olga, "interactive", None, "changed")
    view = await finished(steering, ana, new)
    assert (view["status"], view["continues"]) == ("completed", job.id)
    last = bodies(steering)[-1]
    assert last["previous_response_id"] == old["provider_response_id"]
    assert last["input"] == [user(FRENCH), user("Please."), user(SHORTER)]
    verified(steering)


async def test_a_reviewers_note_is_known_to_what_goes_on_from_the_turn_that_failed(steering: Place) -> None:
    ana, rita = await steering.caller(), await steering.caller("rita", "reviewer")
    script(steering, {**WORDS, "text": "A draft."})
    job, review = await asked(steering, ana, "chat-draft")
    fault(steering, "failed", code="invalid_prompt")
    said = answered(review, "request_changes", notes=FRENCH)
    await decide(steering.service.ports, rita, review["id"], said)
    old = await seen(steering, ana, job.id, lambda one: one["status"] == "failed")
    assert [one["state"] for one in old["attempts"]] == ["completed", "failed"]
    view = await finished(steering, ana, await say(steering, ana, job.id))
    last, partial = bodies(steering)[-1], next(row for row in old["artifacts"] if row["kind"] == "partial")
    failed = (await show.read_content(steering.service.ports, rita, partial["id"], None)).content.decode()
    assert "previous_response_id" not in last
    said_so_far = [user(TEXT), wrote("A draft."), user(FRENCH), wrote(failed), user(SHORTER)]
    assert last["input"] == said_so_far
    assert (await review_of(steering, view))["state"] == "pending"
    verified(steering)


async def test_a_persons_words_start_the_count_of_turns_anew(steering: Place) -> None:
    ana = await steering.caller()
    script(steering, SLOW)
    job = await chatting(steering, ana, "chat-capped")
    call = {"tool_calls": [{"name": "look_up", "arguments": {"name": "ana"}}]}
    script(steering, call)
    script(steering, {"text": "Known."})
    await say(steering, ana, job.id)
    view = await finished(steering, ana, job)
    assert (view["status"], view["failure"]) == ("completed", None)
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn", "next_turn"]
    # Without a word in between the cap is where it was.
    script(steering, call, times=2)
    view = await finished(steering, ana, await submitted(steering, ana, "chat-capped"))
    assert view["failure"]["code"] == "turns_used_up"
    verified(steering)

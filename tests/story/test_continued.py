"""What was said to a job that has ended is known to the job that goes on with it, whatever became of its last turn."""

import pytest

from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.decide import decide
from tests.conftest import Place
from tests.story.acting import review_of
from tests.story.acts import TEXT, contents, fault, finished, script, seen, submitted, verified
from tests.story.steer_types import SLOW, WORDS, bodies, talking
from tests.story.test_decisions import answered, asked
from tests.story.test_messages import SHORTER, say, steering, user, wrote

__all__ = ["steering"]  # a fixture
FRENCH = "Only in French."


async def answered_and_steered(place: Place, ana: Caller) -> str:
    """A chat whose first answer came, and which was told more as it came: its second turn is at work."""
    script(place, {**WORDS, "text": "Otters rest."})
    fault(place, "silent_stream", after=9, seconds=60)
    job = await submitted(place, ana, "chat")
    await seen(place, ana, job.id, lambda _: "completed" in place.simulator.world.stats()["runs"])
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

"""A job that ended in the middle of a turn is continued with all that was said to it, the last words included."""

from backlane.service import control
from backlane.service.message import message
from tests.conftest import Place
from tests.story.acts import finished, script, seen, verified
from tests.story.steer_types import bodies
from tests.story.test_changes import FIRST, NOTE, drafted, sent_back


async def test_a_turn_that_was_cut_off_is_told_again_when_its_job_is_continued(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    job, review = await drafted(working, ana, "draft", FIRST)
    script(working, {"running_seconds": 60, "text": FIRST})
    await sent_back(working, review, notes=NOTE)
    await seen(
        working, ana, job.id, lambda view: [one["state"] for one in view["attempts"]][1:] == ["accepted"]
    )
    await control.cancel(ports, ana, job.id, None)
    await finished(working, ana, job)
    script(working, {"text": FIRST})
    await message(ports, ana, job.id, "And shorter.")
    await seen(working, ana, job.id, lambda view: len(bodies(working)) == 3)
    last = bodies(working)[-1]
    said = str(last["input"])
    # The run before the last knows nothing of the note: all is said anew, in its order.
    assert "previous_response_id" not in last
    assert said.count("Otters float.") == 1
    assert said.index("Otters float.") < said.index(NOTE) < said.index("And shorter.")
    verified(working)

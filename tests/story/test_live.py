"""Live jobs over real HTTP: however a stream breaks, its job ends right, its text whole, and one run was bought."""

from typing import Any

from backlane.service import show
from tests.conftest import Place
from tests.story.acts import contents as contents_of
from tests.story.acts import finished, script, submitted, verified

RUN = {
    "queued_seconds": 0.2,
    "running_seconds": 4.0,
    "text": "Otters rest — float on their backs 🦦 in kelp. " * 6,
}
TEXT = RUN["text"].strip() if isinstance(RUN["text"], str) else ""


async def events(place: Place, caller: Any, job_id: str) -> list[dict[str, Any]]:
    """All events of a job, however many."""
    found: list[dict[str, Any]] = []
    while True:
        after = found[-1]["seq"] if found else 0
        page, _ = await show.read_events(place.service.ports, caller, job_id, after, 200)
        if not page:
            return found
        found += page


def joined(told: list[dict[str, Any]]) -> str:
    """What a follower has in the end: the pieces since the last reset."""
    text = ""
    for event in told:
        if event["type"] == "output.reset":
            text = ""
        elif event["type"] == "output.delta":
            text += event["data"]["text"]
    return text


async def lived(place: Place, **more: Any) -> dict[str, Any]:
    """A live job's view at its end, with its events, text and result."""
    ana = await place.caller()
    job = await submitted(place, ana, more.pop("type_name", "plain"), live=True, **more)
    view = await finished(place, ana, job)
    told = await events(place, ana, job.id)
    texts = await contents_of(place, ana, view) if view["status"] == "completed" else {}
    return {**view, "told": told, "joined": joined(told), "result": texts.get("result")}


def types_of(life: dict[str, Any]) -> list[str]:
    return [event["type"] for event in life["told"] if event["type"].startswith("output.")]


async def test_a_live_job_s_text_comes_in_pieces_and_joins_to_its_result(working: Place) -> None:
    script(working, RUN)
    life = await lived(working)
    assert (life["status"], life["live"]) == ("completed", True)
    assert life["joined"] == life["result"]
    assert types_of(life)[-1] == "output.final"
    assert types_of(life).count("output.delta") > 1
    assert "output.reset" not in types_of(life)
    stats = working.simulator.world.stats()
    assert (stats["creates"], stats["streams"], stats["retrieves"]) == (1, 0, 0)
    verified(working)

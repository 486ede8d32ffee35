"""What happens in every story of a live job: it is lived through, and what its followers have is joined."""

from typing import Any

from backlane.service import show
from tests.conftest import Place
from tests.story.acts import contents as contents_of
from tests.story.acts import finished, submitted

RUN: dict[str, Any] = {
    "queued_seconds": 0.05,
    "running_seconds": 0.4,
    "text": "Otters rest — float on their backs 🦦 in kelp. " * 6,
}


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

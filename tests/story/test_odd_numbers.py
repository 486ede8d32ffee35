"""A provider that counts with numbers JSON has no words for: nobody's record of the job breaks over them."""

import json
from pathlib import Path
from typing import Any

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.edge.raw_server import raw_server, reply
from tests.story.acts import finished, submitted
from tests.story.asking import asking
from tests.values import small_app

ACCEPTED = {"id": "resp_1", "object": "response", "status": "queued", "output": []}
# Python reads 1e999 as infinity, and takes NaN and -Infinity as words.
ENDED = b"""{"id": "resp_1", "object": "response", "status": "completed", "model": "gpt-6-luna",
 "usage": {"input_tokens": 1, "output_tokens": 2, "new": 1e999, "deep": {"less": [-1e999, NaN]}},
 "weather": {"rain": NaN}, "output": [{"type": "dream_call", "id": "d_1", "depth": Infinity}, {"type": "message",
 "content": [{"type": "output_text", "annotations": [], "text": "Otters rest."}]}]}"""


def strictly(body: bytes) -> Any:
    """The JSON, as somebody reads it who knows no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    return json.loads(body, parse_constant=refuse)


async def test_numbers_that_json_cannot_say_are_kept_as_their_text(
    database: dict[str, Any], tmp_path: Path, simulator: Running
) -> None:
    async with raw_server(reply(200, ACCEPTED), reply(200, ENDED)) as server:
        settings = settings_for(tmp_path, simulator, openai_base_url=server.url, **database)
        service = build(settings, types=small_app(), log=lambda line: None)
        place = Place(service, simulator, settings)
        ana = await place.caller()
        await service.start_worker()
        job = await submitted(place, ana, "plain")
        try:
            view = await finished(place, ana, job)
            assert view["status"] == "completed", view["failure"]
            async with asking(place) as http:
                told = await http.get(f"/jobs/{job.id}")
                events = await http.get(f"/jobs/{job.id}/events?limit=200")
                live = await http.get(f"/jobs/{job.id}/events", headers={"Accept": "text/event-stream"})
                kept = {row["name"]: row["id"] for row in view["artifacts"]}
                unknown = await http.get(f"/artifacts/{kept['unknown.json']}/content")
            assert [one.status_code for one in (told, events, live, unknown)] == [200] * 4
            usage = {
                "input_tokens": 1,
                "output_tokens": 2,
                "new": "Infinity",
                "deep": {"less": ["-Infinity", "NaN"]},
            }
            assert strictly(told.content)["attempts"][0]["usage"] == usage
            ends = [one for one in strictly(events.content)["data"] if one["type"] == "attempt.finished"]
            assert [one["data"]["usage"] for one in ends] == [usage]
            for line in live.content.splitlines():
                if line.startswith(b"data: "):
                    strictly(line.removeprefix(b"data: "))
            assert [one.get("depth") or one["weather"] for one in strictly(unknown.content)["items"]] == [
                "Infinity",
                {"rain": "NaN"},
            ]
            # The worker went on: nothing of this job is due any more.
            assert [line.split()[0] for line in server.requests] == ["POST", "GET"]
        finally:
            await service.drain(grace=5)

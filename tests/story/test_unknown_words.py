"""A provider that says what nobody here knows: it is kept as it came, and the job goes on with what is known."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.errors import AwaitingReview
from backlane.service import show
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.edge.raw_server import raw_server, reply
from tests.story.acts import fault, finished, script, submitted, verified
from tests.story.live_acts import RUN, lived
from tests.values import small_app

NEW: dict[str, Any] = {"type": "telepathy_call", "id": "tp_1", "thought": {"of": "otters"}, "colour": 3}
MESSAGE = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "mood": "calm",
    "content": [
        {"type": "output_text", "text": "Otters rest.", "annotations": [{"type": "aura", "x": 1}, 7]},
        {"type": "output_hologram", "data": "…"},
    ],
}


def run(status: str, *output: Any) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5, "dream_tokens": 4}
    body: dict[str, Any] = {"id": "resp_1", "object": "response", "status": status, "weather": {"rain": True}}
    return {**body, "output": list(output), "model": "gpt-6-luna", "usage": usage if output else None}


async def rows(place: Place, view: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a job's artifacts, closed ones too."""
    return await place.service.store.read(lambda tx: tx.artifacts(view["id"]))


async def artifact(place: Place, row: dict[str, Any]) -> bytes:
    """What it holds, for the service itself."""
    return await show.artifact_content(place.service.ports, row["id"])


async def unknown(place: Place, view: dict[str, Any]) -> list[Any]:
    """What was kept of a job because nobody here knows it."""
    [kept] = [row for row in await rows(place, view) if row["name"] == "unknown.json"]
    return json.loads(await artifact(place, kept))["items"]


async def test_unknown_statuses_items_parts_and_fields_are_kept_raw_and_cost_the_job_nothing(
    tmp_path: Path, simulator: Running
) -> None:
    answers = [
        reply(200, run("queued")),
        *[reply(200, run("daydreaming"))] * 3,
        reply(200, run("completed", NEW, MESSAGE, {"type": "reasoning", "id": "rs_1", "summary": []}, 7, {})),
    ]
    async with raw_server(*answers) as server:
        settings = settings_for(tmp_path, simulator, openai_base_url=server.url)
        service = build(settings, types=small_app(), log=lambda line: None)
        place = Place(service, simulator, settings)
        ana = await place.caller()
        await service.start_worker()
        job = await submitted(place, ana, "plain")

        words: set[str | None] = set()
        while "daydreaming" not in words:
            [attempt] = await service.store.read(lambda tx: tx.attempts(job.id)) or [None]
            words.add(attempt and attempt.provider_status)
            await service.ports.clock.sleep(5)
        view = await finished(place, ana, job)
        assert view["status"] == "completed", view["failure"]
        kept = {row["name"]: row for row in view["artifacts"]}
        assert {"result.md", "unknown.json"} <= kept.keys() and "left-out.json" not in kept
        body = (await show.read_content(service.ports, ana, kept["unknown.json"]["id"], None)).content
        assert json.loads(body) == {
            "untrusted": True,
            "items": [
                NEW,
                MESSAGE,
                {"type": "response_fields", "weather": {"rain": True}, "output": [7]},
                {"type": "response_status", "status": "daydreaming"},
            ],
        }
        text = (await show.read_content(service.ports, ana, kept["result.md"]["id"], None)).content
        assert text == b"Otters rest."
        assert view["attempts"][0]["usage"]["dream_tokens"] == 4
        await service.drain(grace=5)


async def test_an_unknown_event_of_a_stream_is_kept_raw_once_however_the_stream_breaks(
    working: Place,
) -> None:
    script(working, RUN)
    fault(working, "unknown_event", after=4, fields={"mood": ["calm", {"depth": 2}]})
    fault(working, "drop_stream", after=8, call="create")
    life = await lived(working)
    assert life["status"] == "completed" and life["joined"] == life["result"]
    ana = await working.caller()
    [kept] = [row for row in life["artifacts"] if row["name"] == "unknown.json"]
    assert kept["kind"] == "tool_output"
    body = json.loads((await show.read_content(working.service.ports, ana, kept["id"], None)).content)
    [item] = body["items"]
    assert (item["event"]["type"], item["event"]["mood"]) == ("response.mood.changed", ["calm", {"depth": 2}])
    assert item["event"]["sequence_number"] == 5
    verified(working)


async def test_a_new_event_of_a_known_family_is_kept_too(working: Place) -> None:
    script(working, RUN)
    fault(working, "unknown_event", after=4, type="response.output_text.sparkle", fields={"glow": 3})
    life = await lived(working)
    assert life["status"] == "completed" and life["joined"] == life["result"] == RUN["text"]
    ana = await working.caller()
    [kept] = [row for row in life["artifacts"] if row["name"] == "unknown.json"]
    body = json.loads((await show.read_content(working.service.ports, ana, kept["id"], None)).content)
    [item] = body["items"]
    assert (item["event"]["type"], item["event"]["glow"]) == ("response.output_text.sparkle", 3)
    verified(working)


async def test_a_new_field_of_a_known_event_is_kept_once(working: Place) -> None:
    script(working, RUN)
    fields = {"delta": "", "confidence": {"level": 0.5}}
    fault(working, "unknown_event", after=4, type="response.refusal.delta", fields=fields)
    fault(working, "drop_stream", after=8, call="create")
    life = await lived(working)
    assert life["status"] == "completed" and life["joined"] == life["result"] == RUN["text"]
    assert await unknown(working, life) == [
        {
            "type": "event_field",
            "event": "response.refusal.delta",
            "field": "confidence",
            "value": {"level": 0.5},
        }
    ]
    verified(working)


async def test_each_unknown_status_word_of_a_run_is_kept_once_and_closed_until_release(
    working: Place,
) -> None:
    fault(working, "unknown_status", status="thinkingzz", times=3)
    fault(working, "unknown_status", status="dozing")
    ana = await working.caller()
    view = await finished(working, ana, await submitted(working, ana, "draft"))
    assert view["status"] == "needs_review"
    [kept] = [row for row in await rows(working, view) if row["name"] == "unknown.json"]
    with pytest.raises(AwaitingReview):
        await show.read_content(working.service.ports, ana, kept["id"], None)
    assert await unknown(working, view) == [
        {"type": "response_status", "status": "thinkingzz"},
        {"type": "response_status", "status": "dozing"},
    ]
    verified(working)


@pytest.mark.parametrize("output", ["Otters rest.", {"text": "Otters rest."}, ["Otters rest."]])
@pytest.mark.parametrize(("type_name", "end"), [("plain", "failed"), ("second-look", "needs_review")])
async def test_an_answer_whose_output_cannot_be_read_is_kept_raw_and_completes_nothing(
    tmp_path: Path, simulator: Running, output: Any, type_name: str, end: str
) -> None:
    answers = [reply(200, run("queued")), reply(200, {**run("completed", 1), "output": output})]
    async with raw_server(*answers) as server:
        settings = settings_for(tmp_path, simulator, openai_base_url=server.url)
        service = build(settings, types=small_app(), log=lambda line: None)
        place = Place(service, simulator, settings)
        ana = await place.caller()
        await service.start_worker()
        view = await finished(place, ana, await submitted(place, ana, type_name))
        assert view["status"] == end
        assert end != "failed" or view["failure"]["code"] == "invalid_output"
        kept = await rows(place, view)
        assert [row["name"] for row in kept if row["kind"] != "input"] == ["unknown.json"]
        [fields] = await unknown(place, view)
        assert (fields["type"], fields["output"]) == ("response_fields", output)
        await service.drain(grace=5)

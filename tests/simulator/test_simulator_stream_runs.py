"""Streams of runs that end otherwise, run in the foreground, or hold other items than a text."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from backlane.simulator.server import Running, running_simulator
from tests.simulator.following import begin, begun, heard, payloads, speaker, text_of, wire
from tests.simulator.provider_strictness import checked_event, checked_response

SAMPLES = Path(__file__).parents[1] / "samples"
TIMES = {"queued_seconds": 10, "running_seconds": 20}
TEXT = "Silent circuits hum, and the night is long and blue. " * 4


def eventually(look: Callable[[], Any], wanted: Any) -> None:
    """Look until it is so; each look is a call of the simulator, which serves others in between."""
    seen = None
    for _ in range(2000):
        seen = look()
        if seen == wanted:
            return
    assert seen == wanted


@pytest.mark.parametrize(
    ("switch", "last", "status"),
    [
        ("failed", "response.failed", "cancelled"),
        ("cancelled", "response.cancelled", "cancelled"),
        ("nothing", "response.output_text.delta", None),
    ],
)
async def test_the_stream_of_a_cancelled_run_ends_at_once(
    simulator: Running, client: OpenAI, *, switch: str, last: str, status: str | None
) -> None:
    simulator.profile(cancelled_stream=switch, cancel_keeps_output=True)
    simulator.script({"then": TIMES | {"text": TEXT}})
    async with speaker(simulator) as live:
        stream = await begin(live)
        simulator.advance(20)
        run_id = (await anext(aiter(stream))).to_dict()["response"]["id"]
        client.responses.cancel(run_id)
        events = await heard(stream)
    simulator.advance(100)
    assert events[-1].type == last
    assert 0 < len(text_of(events)) < len(TEXT)
    told = payloads(wire(simulator, run_id))
    assert [one["type"] for one in told[1:]] == [event.type for event in events]
    if status is not None:
        looked = client.responses.with_raw_response.retrieve(run_id).http_response.json()
        assert (told[-1]["response"], looked["status"]) == (looked, status)


async def test_a_stream_that_waits_hears_of_a_cancel_before_the_clock_moves(
    simulator: Running, client: OpenAI
) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live)
        first = (await anext(aiter(stream))).to_dict()
        following = asyncio.ensure_future(heard(stream))
        await asyncio.to_thread(client.responses.cancel, first["response"]["id"])
        assert (await following)[-1].type == "response.failed"


@pytest.mark.parametrize(
    ("then", "last"),
    [
        ({"status": "failed", "error_code": "server_error"}, "response.failed"),
        ({"status": "incomplete", "incomplete_reason": "content_filter"}, "response.incomplete"),
        ({"status": "cancelled"}, "response.failed"),
    ],
)
async def test_a_run_that_breaks_off_streams_what_it_had_and_how_it_ended(
    simulator: Running, client: OpenAI, *, then: dict[str, Any], last: str
) -> None:
    simulator.script({"then": then | {"text": TEXT}})
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
    told = payloads(wire(simulator, run_id))
    for payload in told:
        checked_event(payload)
    looked = client.responses.with_raw_response.retrieve(run_id).http_response.json()
    assert (told[-1]["type"], told[-1]["response"]) == (last, looked)
    text = "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")
    assert 0 < len(text) < len(TEXT)
    assert TEXT.startswith(text)


async def test_a_foreground_run_is_cancelled_when_its_follower_leaves(
    simulator: Running, client: OpenAI
) -> None:
    simulator.script({"then": {"running_seconds": 20, "text": TEXT}})
    async with speaker(simulator) as live:
        stream = await begin(live, background=False)
        simulator.advance(10)
        run_id = (await anext(aiter(stream))).to_dict()["response"]["id"]
        for call in (client.responses.retrieve, client.responses.cancel):
            with pytest.raises(openai.NotFoundError):
                call(run_id)
        await stream.close()
        eventually(lambda: simulator.log()[0]["stream_ended"], "left")
    looked = client.responses.with_raw_response.retrieve(run_id).http_response.json()
    assert checked_response(looked).status == "cancelled"
    written = looked["output"][-1]["content"][0]["text"]
    assert TEXT.startswith(written)
    assert 0 < len(written) < len(TEXT)
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(run_id)


async def test_a_foreground_stream_that_is_heard_out_completes(simulator: Running, client: OpenAI) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live, background=False)
        simulator.advance(10)
        events = await heard(stream)
        kept = await begin(live, background=False, store=False)
        simulator.advance(10)
        unkept = (await heard(kept))[0].to_dict()["response"]["id"]
    last = events[-1].to_dict()
    assert last["response"] == client.responses.retrieve(last["response"]["id"]).to_dict()
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(unkept)


async def test_a_background_run_goes_on_when_its_follower_leaves(simulator: Running, client: OpenAI) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live)
        run_id = (await anext(aiter(stream))).to_dict()["response"]["id"]
        await stream.close()
        eventually(lambda: simulator.log()[0]["stream_ended"], "left")
    simulator.advance(100)
    assert client.responses.retrieve(run_id).status == "completed"


def test_a_foreground_create_takes_the_time_a_script_gives_it(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": {"running_seconds": 30}})
    asked = {"model": "m", "input": "x"}

    async def wait() -> Any:
        async with speaker(simulator) as live:
            answer = asyncio.ensure_future(live.responses.create(model="m", input="x"))
            await asyncio.to_thread(eventually, lambda: len(simulator.log()), 1)
            run_id = simulator.log()[0]["response_id"]
            with pytest.raises(openai.NotFoundError):
                await live.responses.retrieve(run_id)
            simulator.advance(30)
            return await answer

    answered = asyncio.run(wait())
    assert (answered.status, client.responses.retrieve(answered.id).status) == ("completed", "completed")
    assert client.responses.create(**asked).status == "completed"


async def test_a_caller_that_leaves_a_foreground_create_cancels_it(
    simulator: Running, client: OpenAI
) -> None:
    simulator.script({"then": {"running_seconds": 30}})
    async with speaker(simulator) as live:
        leaving = asyncio.ensure_future(live.responses.create(model="m", input="x"))
        await asyncio.to_thread(eventually, lambda: len(simulator.log()), 1)
        leaving.cancel()
        await asyncio.wait([leaving])
    eventually(lambda: simulator.stats()["runs"], {"cancelled": 1})
    assert client.responses.retrieve(simulator.log()[0]["response_id"]).status == "cancelled"


def test_on_a_real_clock_a_scripted_foreground_create_waits() -> None:
    with running_simulator(seed=2) as simulator, OpenAI(api_key="k", base_url=simulator.base_url) as client:
        simulator.script({"then": {"running_seconds": 0.2}})
        made = client.responses.create(model="m", input="x")
        line = simulator.log()[0]
        ended = simulator.world.runs[made.id].ends_at
        assert made.status == "completed"
        assert ended - line["at"] >= 0.2


@pytest.mark.parametrize(("size", "most"), [(1, 1), (4, 6), (400, 600)])
async def test_deltas_are_as_long_as_the_account_has_them(
    simulator: Running, *, size: int, most: int
) -> None:
    simulator.profile(delta_characters=size)
    simulator.script({"then": {"text": "Größe 🚢 über " * 60}})
    async with speaker(simulator) as live:
        told = payloads(wire(simulator, await begun(live, simulator)))
    deltas = [one["delta"] for one in told if one["type"] == "response.output_text.delta"]
    assert "".join(deltas) == "Größe 🚢 über " * 60
    assert max(len(delta) for delta in deltas) <= most
    assert len(deltas) >= 780 // most


def _items() -> list[dict[str, Any]]:
    """One item of each type that is streamed in its own way."""
    recorded = [
        item
        for name in ("", ".function_call", ".refusal", ".research_citations", ".mcp_approval_request",
                     ".mcp_call", ".mcp_call_failed")
        for item in json.loads((SAMPLES / f"response.completed{name}.json").read_text())["output"]
    ]  # fmt: skip
    return [
        *recorded,
        {"id": "rs_9", "type": "reasoning", "summary": [{"type": "summary_text", "text": "First, the gate."}],
         "content": [{"type": "reasoning_text", "text": "The gate is green."}], "encrypted_content": "c2VjcmV0"},
        {"id": "fs_9", "type": "file_search_call", "status": "completed", "queries": ["gate"], "results": None},
        {"id": "ci_9", "type": "code_interpreter_call", "status": "completed", "container_id": "cntr_1",
         "code": "print(340 / 2)\n", "outputs": [{"type": "logs", "logs": "170.0"}]},
        {"id": "ctc_9", "type": "custom_tool_call", "call_id": "call_9", "name": "note", "input": "The gate"},
        {"id": "ig_9", "type": "image_generation_call", "status": "completed", "result": "aGVsbG8="},
    ]  # fmt: skip


async def test_items_of_every_type_are_streamed_as_the_sdk_types_them(simulator: Running) -> None:
    items = _items()
    simulator.script({"then": {"output": items}})
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
    told = payloads(wire(simulator, run_id))
    for payload in told:
        checked_event(payload)
    assert [one["item"] for one in told if one["type"] == "response.output_item.done"] == items
    assert told[-1]["response"]["output"] == items
    kinds = {one["type"] for one in told}
    for stem in ("web_search_call.searching", "file_search_call.completed", "refusal.done", "mcp_call.failed",
                 "code_interpreter_call.interpreting", "code_interpreter_call_code.done", "reasoning_text.done",
                 "mcp_call.completed", "mcp_list_tools.completed", "reasoning_summary_part.done",
                 "function_call_arguments.done", "custom_tool_call_input.delta",
                 "image_generation_call.generating", "output_text.annotation.added"):  # fmt: skip
        assert f"response.{stem}" in kinds


async def test_an_item_of_a_type_nobody_knows_is_streamed_whole(simulator: Running) -> None:
    item = {"id": "du_1", "type": "dust", "status": "completed", "grains": 7}
    simulator.script({"then": {"output": [item]}})
    async with speaker(simulator) as live:
        told = payloads(wire(simulator, await begun(live, simulator)))
    assert [one["item"] for one in told if "item" in one] == [item | {"status": "in_progress"}, item]


def _fields_by_type(told: bytes) -> dict[str, set[str]]:
    return {one["type"]: set(one) - {"obfuscation"} for one in payloads(told)}


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("stream.background.*.sse")), ids=lambda path: path.stem)
async def test_events_have_the_fields_of_the_recorded_ones(simulator: Running, path: Path) -> None:
    simulator.script(
        {"then": {"output": _items()}}, {"then": {"status": "failed"}}, {"then": {"status": "incomplete"}}
    )
    known: dict[str, set[str]] = {}
    async with speaker(simulator) as live:
        for _ in range(3):
            known |= _fields_by_type(wire(simulator, await begun(live, simulator)))
    for kind, fields in _fields_by_type(path.read_bytes()).items():
        assert known[kind] - {"name"} == fields, kind


async def test_a_stream_ends_when_the_simulator_is_emptied(simulator: Running) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live)
        assert simulator.stats()["open_streams"] == 1
        simulator.reset()
        assert {event.type for event in await heard(stream)} <= {"response.created", "response.queued"}


async def test_the_wire_needs_no_accept_header(simulator: Running) -> None:
    body = {"model": "m", "input": "x", "background": True, "stream": False}
    headers = {"authorization": "Bearer k", "accept": "text/event-stream"}
    reply = httpx2.post(f"{simulator.base_url}/responses", json=body, headers=headers)
    assert reply.headers["content-type"] == "application/json"

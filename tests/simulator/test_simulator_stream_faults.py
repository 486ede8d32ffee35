"""Each fault of a stream by name: what the unmodified SDK makes of it, and what the truth log says of it."""

import json
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from backlane.simulator.server import Running
from tests.simulator.following import begin, begun, heard, numbers, payloads, speaker, wire
from tests.simulator.provider_strictness import checked_event

# fault, what the SDK raises, the numbers heard before it, how the truth log says it ended, and what was replied
BREAKS: list[tuple[dict[str, Any], type[Exception] | None, list[int], str, str]] = [
    ({"fault": "drop_stream"}, openai.APIConnectionError, [0], "cut", "cut"),
    ({"fault": "drop_stream", "after": 4}, openai.APIConnectionError, [0, 1, 2, 3, 4], "cut", "cut"),
    ({"fault": "drop_stream", "after": -1}, openai.APIConnectionError, [], "cut", "cut"),
    ({"fault": "half_frame", "after": 1}, openai.APIConnectionError, [0, 1], "cut", "cut"),
    ({"fault": "end_stream_early", "after": 2}, None, [0, 1, 2], "early", "sent"),
    ({"fault": "end_stream_early", "after": -1}, None, [], "early", "sent"),
    ({"fault": "stream_error", "after": 2}, None, [0, 1, 2, 3], "error", "sent"),
    ({"fault": "stream_error", "after": 2, "shape": "nested"}, openai.APIError, [0, 1, 2], "error", "sent"),
    ({"fault": "garble_frame", "at": 3}, json.JSONDecodeError, [0, 1, 2], "whole", "sent"),
    ({"fault": "cut_reply"}, openai.APIConnectionError, [], "cut", "cut"),
]


async def broken(stream: Any, raised: type[Exception] | None) -> list[Any]:
    """What came before the stream broke."""
    events: list[Any] = []
    if raised is None:
        return await heard(stream)
    with pytest.raises(raised):
        async for event in stream:
            events.append(event)
    return events


@pytest.mark.parametrize(
    ("fault", "raised", "expected", "ended", "reply"), BREAKS, ids=lambda value: str(value)[:60]
)
@pytest.mark.parametrize("call", ["create", "stream"])
async def test_a_stream_can_break_off_in_many_ways(
    simulator: Running,
    client: OpenAI,
    *,
    call: str,
    fault: dict[str, Any],
    raised: type[Exception] | None,
    expected: list[int],
    ended: str,
    reply: str,
) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        simulator.script({"then": {"queued_seconds": 0, "running_seconds": 0}})
        simulator.faults(fault | {"call": call})
        stream = await (begin(live) if call == "create" else live.responses.retrieve(run_id, stream=True))
        events = await broken(stream, raised)
        assert numbers(events) == expected
    line = simulator.log()[-1]
    told = (line["call"], line["fault"], line["reply"], line["status_code"])
    assert told == (call, fault["fault"], reply, 200)
    # Where the follower leaves at once, it may be gone before the last event was sent.
    assert line["stream_ended"] in (ended, "left") if ended == "whole" else line["stream_ended"] == ended
    assert client.responses.retrieve(line["response_id"]).status == "completed"


async def test_a_stream_can_be_reset(simulator: Running) -> None:
    async with speaker(simulator) as live:
        simulator.faults({"fault": "drop_stream", "after": 1, "how": "reset"})
        with pytest.raises(openai.APIConnectionError):
            await heard(await begin(live))
    assert simulator.log()[0]["stream_ended"] == "cut"


@pytest.mark.parametrize("shape", ["flat", "nested"])
async def test_both_shapes_of_the_error_event(simulator: Running, shape: str) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
    simulator.faults(
        {"fault": "stream_error", "shape": shape, "after": 5, "code": "overloaded", "message": "no"}
    )
    last = payloads(wire(simulator, run_id))[-1]
    assert (last["type"], last["sequence_number"]) == ("error", 6)
    if shape == "flat":
        assert checked_event(last).code == "overloaded"
    else:
        assert last["error"] == {"type": "overloaded", "code": "overloaded", "message": "no", "param": None}


async def test_an_error_before_the_first_event_stands_alone_and_buys_nothing(simulator: Running) -> None:
    simulator.faults({"fault": "stream_error", "after": -1, "accept": False})
    async with speaker(simulator) as live:
        events = await heard(await begin(live))
    assert [(event.type, event.sequence_number) for event in events] == [("error", 0)]
    line = simulator.log()[0]
    assert (line["outcome"], line["status_code"], line["stream_ended"]) == ("refused", 200, "error")
    assert simulator.stats()["accepted"] == 0


@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "overloaded"])
async def test_a_limit_can_be_told_by_a_lone_error_event(simulator: Running, fault: str) -> None:
    simulator.profile(early_errors="nested")
    simulator.faults({"fault": fault, "times": 3})
    async with speaker(simulator) as live:
        with pytest.raises(openai.APIError) as told:
            await heard(await begin(live))
        assert not isinstance(told.value, openai.APIStatusError)
        simulator.profile(early_errors="flat")
        assert [event.type for event in await heard(await begin(live))] == ["error"]
        simulator.profile(early_errors="status")
        with pytest.raises(openai.APIStatusError):
            await begin(live)
    assert simulator.stats()["accepted"] == 0


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"fault": "duplicate_events"}, [0, 1, 2, 3, 3, 4, 5, 6]),
        ({"fault": "duplicate_events", "at": 0, "count": 3}, [0, 1, 2, 0, 1, 2, 3, 4, 5, 6]),
        ({"fault": "gap_in_events"}, [0, 1, 2, 4, 5, 6]),
        ({"fault": "gap_in_events", "at": 2, "count": 3}, [0, 1, 5, 6]),
    ],
)
async def test_events_can_come_twice_or_not_at_all(
    simulator: Running, fault: dict[str, Any], expected: list[int]
) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        simulator.faults(fault)
        events = await heard(await live.responses.retrieve(run_id, stream=True))
        assert numbers(events)[: len(expected)] == expected
        line = simulator.log()[-1]
        assert (line["stream_ended"], line["events"]) == ("whole", len(events))
        # It is the connection that was odd, not the run.
        whole = await heard(await live.responses.retrieve(run_id, stream=True))
        assert numbers(whole) == list(range(len(whole)))


async def test_a_resume_can_begin_at_zero_again(simulator: Running) -> None:
    simulator.faults({"fault": "restart_at_zero"})
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        # Whoever asks for everything anyway does not meet it.
        assert numbers(await heard(await live.responses.retrieve(run_id, stream=True)))[0] == 0
        again = await heard(await live.responses.retrieve(run_id, stream=True, starting_after=6))
        assert numbers(again) == list(range(len(again)))
        assert (
            numbers(await heard(await live.responses.retrieve(run_id, stream=True, starting_after=6)))[0] == 7
        )
    faults = [line["fault"] for line in simulator.log() if line["call"] == "stream"]
    assert faults == [None, "restart_at_zero", None]


@pytest.mark.parametrize(
    ("fault", "param", "told"),
    [
        ("refuse_stream", "stream", "can no longer be streamed because it is more than 5 minutes old"),
        ("expired_cursor", "starting_after", "cursor of this stream has expired"),
    ],
)
async def test_taking_up_a_stream_can_be_refused(
    simulator: Running, client: OpenAI, *, fault: str, param: str, told: str
) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        simulator.faults({"fault": fault}, {"fault": fault, "message": "no more"})
        for words in (told, "no more"):
            with pytest.raises(openai.BadRequestError, match=words) as refused:
                await live.responses.retrieve(run_id, stream=True, starting_after=3)
            assert refused.value.param == param
        await heard(await live.responses.retrieve(run_id, stream=True, starting_after=3))
    assert client.responses.retrieve(run_id).status == "completed"


async def test_a_stream_can_fall_silent_for_a_while(simulator: Running) -> None:
    simulator.script({"then": {"queued_seconds": 0, "running_seconds": 0}})
    simulator.faults({"fault": "silent_stream", "after": 2, "seconds": 60})
    async with speaker(simulator) as live:
        stream = aiter(await begin(live))
        assert [(await anext(stream)).sequence_number for _ in range(3)] == [0, 1, 2]
        simulator.advance(59)
        assert simulator.log()[0]["events"] == 3
        simulator.advance(1)
        assert [event.sequence_number async for event in stream][:2] == [3, 4]
    assert simulator.log()[0]["stream_ended"] == "whole"


async def test_a_run_can_say_what_nobody_knows(simulator: Running) -> None:
    simulator.faults(
        {"fault": "unknown_event", "after": 3, "type": "response.dusted", "fields": {"grains": 7}}
    )
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        events = await heard(await live.responses.retrieve(run_id, stream=True))
    assert events[4].to_dict() == {"type": "response.dusted", "sequence_number": 4, "grains": 7}
    assert numbers(events) == list(range(len(events)))
    assert events[-1].type == "response.completed"


async def _lost(live: AsyncOpenAI, **parameters: Any) -> None:
    with pytest.raises(openai.APIConnectionError):
        await begin(live, **parameters)


@pytest.mark.parametrize(("background", "status"), [(True, "completed"), (False, "cancelled")])
async def test_a_lost_create_reply_is_no_byte_of_the_stream(
    simulator: Running, client: OpenAI, *, background: bool, status: str
) -> None:
    simulator.faults({"fault": "lose_create_reply"}, {"fault": "lose_create_reply", "accept": False})
    async with speaker(simulator) as live:
        await _lost(live, background=background)
        await _lost(live, background=background)
    simulator.advance(100)
    first, second = simulator.log()
    assert (first["outcome"], first["reply"], second["outcome"]) == ("accepted", "lost", "dropped")
    assert client.responses.retrieve(first["response_id"]).status == status
    assert simulator.stats()["accepted"] == 1


async def test_what_is_no_stream_reads_as_nothing_or_as_text(simulator: Running) -> None:
    simulator.faults({"fault": "garble_reply"}, {"fault": "html_reply"})
    async with speaker(simulator) as live:
        assert await heard(await begin(live)) == []
        assert await heard(await begin(live)) == []
    assert simulator.stats()["accepted"] == 2
    assert [line["reply"] for line in simulator.log()] == ["garbled", "html"]


async def test_faults_of_streams_wait_for_a_stream_and_can_meet_together(
    simulator: Running, client: OpenAI
) -> None:
    simulator.faults(
        {"fault": "duplicate_events", "at": 1},
        {"fault": "drop_stream", "after": 2},
        {"fault": "poll_after_ms", "call": "stream"},
    )
    client.responses.create(model="m", input="x", background=True)
    async with speaker(simulator) as live:
        simulator.script({"then": {"queued_seconds": 0}})
        stream = await begin(live)
        assert numbers(await broken(stream, openai.APIConnectionError)) == [0, 1, 1, 2]
    assert [line["faults"] for line in simulator.log()] == [[], ["duplicate_events", "drop_stream"]]
    assert [one["fault"] for one in simulator.control("faults")["waiting"]] == ["poll_after_ms"]

"""A run's stream: what it says, in which order, when, and how it is taken up again."""

import asyncio
import itertools
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from backlane.simulator.server import Running, running_simulator
from tests.simulator.following import begin, begun, heard, numbers, payloads, speaker, text_of, wire
from tests.simulator.provider_strictness import checked_event, checked_response

TIMES = {"queued_seconds": 10, "running_seconds": 20}


async def test_the_text_and_the_last_word_are_what_a_look_says(simulator: Running, client: OpenAI) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live, metadata={"backlane_attempt": "att_1"})
        simulator.advance(100)
        events = await heard(stream)
    assert numbers(events) == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    looked = client.responses.retrieve(last.response.id)
    assert text_of(events) == looked.output_text != ""
    assert last.response.to_dict() == looked.to_dict()
    line = simulator.log()[0]
    told = (line["call"], line["outcome"], line["reply"], line["events"], line["stream_ended"])
    assert told == ("create", "accepted", "sent", len(events), "whole")
    assert simulator.stats()["creates"] == 1


@pytest.mark.parametrize(("background", "opening"), [(True, ["created", "queued"]), (False, ["created"])])
async def test_the_events_come_in_the_providers_order(
    simulator: Running, *, background: bool, opening: list[str]
) -> None:
    async with speaker(simulator) as live:
        stream = await begin(live, background=background)
        simulator.advance(100)
        events = await heard(stream)
    kinds = [kind for kind, _ in itertools.groupby(event.type.removeprefix("response.") for event in events)]
    text = (
        "output_item.added content_part.added output_text.delta output_text.annotation.added output_text.done"
    )
    assert kinds == [
        *opening, "in_progress", "output_item.added", "output_item.done", *text.split(), "content_part.done",
        "output_item.done", "completed",
    ]  # fmt: skip
    assert events[0].type == "response.created"
    assert events[0].response.status == ("queued" if background else "in_progress")


async def test_every_event_is_one_the_sdk_knows_and_the_whole_is_the_same_each_time(
    simulator: Running, client: OpenAI
) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
    told = wire(simulator, run_id)
    for payload in payloads(told):
        checked_event(payload)
    assert checked_response(payloads(told)[-1]["response"]).status == "completed"
    assert wire(simulator, run_id) == told
    assert simulator.stats()["streams"] == 2


async def test_deltas_are_padded_unless_that_is_turned_off(simulator: Running) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator, stream_options={"include_obfuscation": False})
        stream = await begin(live, background=False, stream_options={"include_obfuscation": False})
        simulator.advance(100)
        events = await heard(stream)
    padded = {one["type"] for one in payloads(wire(simulator, run_id)) if one.get("obfuscation")}
    assert padded == {"response.output_text.delta"}
    assert b"obfuscation" not in wire(simulator, run_id, include_obfuscation="false")
    assert all("obfuscation" not in event.to_dict() for event in events)


async def test_events_come_as_the_clock_reaches_them(simulator: Running) -> None:
    simulator.script({"then": TIMES})
    async with speaker(simulator) as live:
        stream = aiter(await begin(live))
        seen = [(await anext(stream)).type for _ in range(2)]
        simulator.advance(10)
        seen.append((await anext(stream)).type)
        assert seen == ["response.created", "response.queued", "response.in_progress"]
        coming = asyncio.ensure_future(anext(stream))
        # Another call is served while the stream waits, and nothing comes before its time.
        assert (await live.responses.create(model="m", input="x", background=True)).status == "queued"
        assert not coming.done()
        simulator.advance(10)
        half = text_of([await coming, *[await anext(stream) for _ in range(8)]])
        simulator.advance(10)
        rest = await heard(stream)
    assert rest[-1].type == "response.completed"
    assert half + text_of(rest) == rest[-1].response.output_text
    assert half


async def test_a_stream_dropped_after_any_event_goes_on_at_the_next(simulator: Running) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        whole = await heard(await live.responses.retrieve(run_id, stream=True))
        for k in range(len(whole)):
            simulator.faults({"fault": "drop_stream", "after": k})
            events: list[Any] = []
            with pytest.raises(openai.APIConnectionError):
                async for event in await live.responses.retrieve(run_id, stream=True):
                    events.append(event)
            assert numbers(events) == list(range(k + 1))
            events += await heard(await live.responses.retrieve(run_id, stream=True, starting_after=k))
            assert events == whole


async def test_a_stream_taken_up_again_goes_on_live(simulator: Running) -> None:
    simulator.script({"then": TIMES})
    simulator.faults({"fault": "drop_stream", "after": 2})
    async with speaker(simulator) as live:
        stream = await begin(live)
        simulator.advance(10)
        before: list[Any] = []
        with pytest.raises(openai.APIConnectionError):
            async for event in stream:
                before.append(event)
        again = await live.responses.retrieve(before[0].response.id, stream=True, starting_after=2)
        simulator.advance(5)
        first = await anext(aiter(again))
        simulator.advance(15)
        after = [first, *await heard(again)]
    assert numbers(before + after) == list(range(len(before + after)))
    assert text_of(after) == after[-1].response.output_text


@pytest.mark.parametrize(
    ("created", "query", "param", "told"),
    [
        ({"stream": True, "background": False}, {}, "stream", "not created with background=true."),
        ({"stream": False}, {}, "stream", "not created with stream=true."),
        ({"stream": True, "store": False}, {}, "stream", "not created with store=true."),
        ({"stream": True}, {"starting_after": "x"}, "starting_after", "expected an integer"),
        ({"stream": True}, {"starting_after": -3}, "starting_after", "expected an integer"),
    ],
)
async def test_what_cannot_be_taken_up_is_refused_in_the_providers_words(
    simulator: Running, *, created: dict[str, Any], query: dict[str, Any], param: str, told: str
) -> None:
    async with speaker(simulator) as live:
        given = {"model": "m", "input": "x", "background": True} | created
        made = await live.responses.create(**given)
        simulator.advance(100)
        run_id = (await heard(made))[0].response.id if created["stream"] else made.id  # pyright: ignore
        with pytest.raises(openai.BadRequestError, match=told) as refused:
            await live.responses.retrieve(run_id, stream=True, extra_query=query)
    assert refused.value.param == param
    line = simulator.log()[-1]
    assert (line["call"], line["outcome"], line["status_code"]) == ("stream", "refused", 400)


async def test_nothing_comes_after_the_last_event(simulator: Running) -> None:
    async with speaker(simulator) as live:
        run_id = await begun(live, simulator)
        whole = await heard(await live.responses.retrieve(run_id, stream=True))
        for after in (len(whole) - 1, 100_000):
            assert await heard(await live.responses.retrieve(run_id, stream=True, starting_after=after)) == []
    assert simulator.log()[-1]["starting_after"] == "100000"


async def test_after_five_minutes_a_stream_cannot_be_taken_up_but_goes_on(simulator: Running) -> None:
    simulator.script({"then": {"queued_seconds": 290, "running_seconds": 60}})
    async with speaker(simulator) as live:
        stream = await begin(live)
        first = await anext(aiter(stream))
        assert first.type == "response.created"
        simulator.advance(300)
        await (await live.responses.retrieve(first.response.id, stream=True)).close()
        simulator.advance(1)
        told = "can no longer be streamed because it is more than 5 minutes old"
        with pytest.raises(openai.BadRequestError, match=told) as refused:
            await live.responses.retrieve(first.response.id, stream=True, starting_after=3)
        assert refused.value.param == "stream"
        simulator.profile(stream_seconds=None)
        await (await live.responses.retrieve(first.response.id, stream=True)).close()
        simulator.advance(60)
        assert (await heard(stream))[-1].type == "response.completed"


async def test_two_followers_hear_the_same(simulator: Running) -> None:
    async with speaker(simulator) as live:
        one = await begin(live)
        first = await anext(aiter(one))
        assert first.type == "response.created"
        two = await live.responses.retrieve(first.response.id, stream=True)
        simulator.advance(100)
        heard_by_one, heard_by_two = await asyncio.gather(heard(one), heard(two))
    assert [first, *heard_by_one] == heard_by_two


async def _follow(live: AsyncOpenAI, nth: int) -> tuple[str, str]:
    events = await heard(await begin(live, input=f"The gate number {nth} is painted green today."))
    assert events[-1].type == "response.completed"
    return text_of(events), events[-1].response.output_text


async def test_two_hundred_streams_at_once_do_not_hold_each_other_up() -> None:
    with running_simulator(seed=7, speed=20) as simulator:
        # One that is silent for good, and one whose follower does not read.
        simulator.faults({"fault": "silent_stream", "seconds": 3600})
        async with speaker(simulator) as live:
            silent, unread = await begin(live), await begin(live)
            followed = await asyncio.gather(*[_follow(live, nth) for nth in range(200)])
            for nth, (text, answer) in enumerate(followed):
                assert text == answer
                assert f"number {nth} is" in text
            await silent.close()
            await unread.close()
        assert simulator.stats()["creates"] == 202


def test_the_seed_and_the_run_decide_every_byte() -> None:
    async def told(seed: int) -> bytes:
        with running_simulator(seed=seed, clock="virtual") as simulator:
            async with speaker(simulator) as live:
                return wire(simulator, await begun(live, simulator))

    first = asyncio.run(told(5))
    assert asyncio.run(told(5)) == first
    assert asyncio.run(told(6)) != first

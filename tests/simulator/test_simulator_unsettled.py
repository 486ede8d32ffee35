"""What nobody could read up about the provider is a switch; each is obeyed both ways."""

import openai
import pytest
from openai import OpenAI

from backlane.simulator.server import Running
from tests.simulator.conftest import ARTICLE
from tests.simulator.following import begin, begun, heard, numbers, speaker, wire


@pytest.mark.parametrize("first", [0, 1])
async def test_a_stream_is_counted_from_zero_or_one(simulator: Running, first: int) -> None:
    simulator.profile(first_number=first)
    async with speaker(simulator) as live:
        stream = await begin(live)
        simulator.advance(100)
        events = await heard(stream)
        assert numbers(events) == list(range(first, first + len(events)))
        run = events[0].response.id  # type: ignore[union-attr]
        again = await live.responses.retrieve(run, stream=True, starting_after=first + 2)
        assert numbers(await heard(again)) == numbers(events)[3:]


async def test_beyond_the_last_event_there_is_nothing_or_a_refusal(
    simulator: Running, client: OpenAI
) -> None:
    async with speaker(simulator) as live:
        run = await begun(live, simulator)
    last = wire(simulator, run).count(b"event: ") - 1
    assert wire(simulator, run, starting_after=last) == b""
    simulator.profile(beyond_the_end="refuse")
    assert wire(simulator, run, starting_after=last - 1).count(b"event: ") == 1
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.retrieve(run, stream=True, starting_after=last)
    assert refused.value.param == "starting_after"


def test_the_end_of_a_citation_is_counted_both_ways(simulator: Running, client: OpenAI) -> None:
    quote = {"quote": "float", "url": "https://u.test"}
    simulator.script({"then": {"text": "Otters float.", "citations": [quote]}, "times": 2})
    ends = []
    for counted in ("exclusive", "inclusive"):
        simulator.profile(end_index=counted)
        made = client.responses.create(model="m", input=ARTICLE)
        ends.append(made.output[-1].content[0].annotations[0].end_index)  # type: ignore[union-attr]
    assert ends == [12, 11]


def test_a_parent_that_is_gone_is_refused_or_taken_with_its_history(
    simulator: Running, client: OpenAI
) -> None:
    former = client.responses.create(model="m", input="The otter is called Ottokar. It floats on its back.")
    client.responses.delete(former.id)
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model="m", input="Why?", previous_response_id=former.id)
    simulator.profile(deleted_parent="accept")
    taken = client.responses.create(model="m", input="Why?", previous_response_id=former.id)
    assert "Ottokar" in taken.output_text
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="m", input="Why?", previous_response_id="resp_none")


def test_a_run_that_its_caller_waits_for_may_be_cancelled_by_id(simulator: Running, client: OpenAI) -> None:
    made = client.responses.create(model="m", input=ARTICLE)
    with pytest.raises(openai.BadRequestError, match="synchronous"):
        client.responses.cancel(made.id)
    simulator.profile(cancel_foreground="accept", cancel_ended="accept")
    assert client.responses.cancel(made.id).status == "completed"


@pytest.mark.parametrize(("cancels", "status"), [("accept", "cancelled"), ("refuse", None)])
async def test_a_run_that_is_waited_for_is_stopped_by_id_where_that_is_allowed(
    simulator: Running, client: OpenAI, cancels: str, status: str | None
) -> None:
    simulator.profile(cancel_foreground=cancels)
    async with speaker(simulator) as live:
        stream = await begin(live, background=False)
        first = await anext(aiter(stream))
        run = first.response.id  # type: ignore[union-attr]
        if status is None:
            with pytest.raises(openai.NotFoundError):
                client.responses.cancel(run)
        else:
            assert client.responses.cancel(run).status == status
            assert (await heard(stream))[-1].type == "response.failed"
        await stream.close()

"""Conversations: the former chain counts, its open ends must be tied, and functions are called once with the input."""

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI

from backlane.simulator.server import Running
from tests.simulator.conftest import ARTICLE
from tests.simulator.provider_strictness import checked_response
from tests.simulator.test_simulator_answers import LOOK, assert_quotes_are_true

Finish = Callable[..., dict[str, Any]]
COUNT = {
    "type": "function",
    "name": "count_ferries",
    "parameters": {
        "type": "object",
        "properties": {"ferries": {"type": "integer"}},
        "required": ["ferries"],
        "additionalProperties": False,
    },
    "strict": True,
}


def calls_of(payload: dict[str, Any]) -> list[tuple[str, Any]]:
    items = [item for item in payload["output"] if item["type"] == "function_call"]
    return [(item["name"], json.loads(item["arguments"])) for item in items]


def outputs_for(payload: dict[str, Any], *outputs: Any) -> list[dict[str, Any]]:
    ids = [item["call_id"] for item in payload["output"] if item["type"] == "function_call"]
    return [
        {"type": "function_call_output", "call_id": call_id, "output": output}
        for call_id, output in zip(ids, outputs, strict=True)
    ]


def test_a_function_is_called_once_with_arguments_from_the_input_then_its_output_is_quoted(
    finish: Finish,
) -> None:
    first = finish(tools=[LOOK])
    assert calls_of(first) == [("look_up", {"order_id": "R-17"})]
    told = '{"state":"shipped"}'
    second = finish(tools=[LOOK], previous_response_id=first["id"], input=outputs_for(first, told))
    assert checked_response(second).output[-1].type == "message"
    assert told in second["output"][-1]["content"][0]["text"]
    assert_quotes_are_true(second, [ARTICLE, told])


def test_json_after_a_call_takes_its_values_from_the_output(finish: Finish) -> None:
    first = finish(tools=[LOOK])
    schema = {
        "type": "object",
        "properties": {
            "state": {"type": "string"},
            "parcels": {"type": "integer"},
            "paid": {"type": "boolean"},
        },
        "required": ["state", "parcels", "paid"],
        "additionalProperties": False,
    }
    second = finish(
        tools=[LOOK],
        previous_response_id=first["id"],
        input=outputs_for(first, '{"order": {"state": "lost", "parcels": 3, "paid": false}}'),
        text={"format": {"type": "json_schema", "name": "order", "strict": True, "schema": schema}},
    )
    read = checked_response(second)
    assert json.loads(read.output_text) == {"state": "lost", "parcels": 3, "paid": False}


def test_several_functions_are_called_in_one_turn_and_all_must_be_answered(
    client: OpenAI, finish: Finish
) -> None:
    first = finish(tools=[LOOK, COUNT])
    assert [name for name, _ in calls_of(first)] == ["look_up", "count_ferries"]
    answers = outputs_for(first, "Order R-17 was paid.", [{"type": "input_text", "text": "There are 42."}])
    with pytest.raises(openai.BadRequestError, match=r"No tool output found for function call call_"):
        client.responses.create(model="m", previous_response_id=first["id"], input=answers[:1])
    second = finish(previous_response_id=first["id"], input=answers)
    assert "There are 42." in checked_response(second).output_text


def test_without_parallel_calls_only_one_is_made(finish: Finish) -> None:
    assert len(calls_of(finish(tools=[LOOK, COUNT], parallel_tool_calls=False))) == 1
    assert calls_of(finish(tools=[LOOK, COUNT], tool_choice="none")) == []
    allowed = {
        "type": "allowed_tools",
        "mode": "auto",
        "tools": [{"type": "function", "name": COUNT["name"]}],
    }
    assert [name for name, _ in calls_of(finish(tools=[LOOK, COUNT], tool_choice=allowed))] == [COUNT["name"]]


def test_a_script_calls_with_whatever_arguments_it_says(simulator: Running, finish: Finish) -> None:
    simulator.script({"then": {"tool_calls": [{"name": "nobody", "arguments": "{broken"}]}})
    item = checked_response(finish(tools=[LOOK])).output[-1]
    assert (item.name, item.arguments) == ("nobody", "{broken")


def test_an_output_for_a_call_nobody_made_is_refused(client: OpenAI) -> None:
    stray = [{"type": "function_call_output", "call_id": "call_stray", "output": "x"}]
    with pytest.raises(openai.BadRequestError, match="call_id call_stray"):
        client.responses.create(model="m", input=stray)


def test_a_conversation_may_be_sent_whole_instead_of_by_its_id(finish: Finish) -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "look_up", "arguments": "{}"}
    given = [
        {"role": "user", "content": ARTICLE},
        {"role": "assistant", "content": "I look it up.", "phase": "commentary"},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        call,
        {"type": "function_call_output", "call_id": "call_1", "output": "Order R-17 was paid in granite."},
    ]
    assert "paid in granite" in checked_response(finish(input=given, tools=[LOOK])).output_text


def test_the_whole_chain_is_quoted_and_paid_again_without_old_instructions(finish: Finish) -> None:
    first = finish(instructions="Be brief. " * 200)
    second = finish(previous_response_id=first["id"], input="The lighthouse keeper counted 88 seals.")
    text = checked_response(second).output_text
    assert "88 seals" in text
    assert any(sentence in text for sentence in ("1893", "granite", "ferries"))
    asked = first["usage"]["total_tokens"] - len("Be brief. " * 200) // 4
    assert asked < second["usage"]["input_tokens"] < first["usage"]["total_tokens"]
    third = finish(previous_response_id=second["id"], input="And now?")
    assert third["usage"]["input_tokens"] > second["usage"]["total_tokens"]


def test_a_parent_that_is_gone_or_at_work_is_refused(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": {"queued_seconds": 50, "running_seconds": 0}, "times": None})
    started = client.responses.create(model="m", input="Hello there.", background=True)

    def follow() -> str:
        made = client.responses.create(
            model="m", input="Go on, please.", previous_response_id=started.id, background=True
        )
        return made.status or ""

    with pytest.raises(openai.BadRequestError, match="has not finished"):
        follow()
    simulator.profile(continue_unfinished=True)
    assert follow() == "queued"
    simulator.advance(60)
    client.responses.delete(started.id)
    with pytest.raises(openai.BadRequestError) as refused:
        follow()
    assert refused.value.code == "previous_response_not_found"


def test_an_item_may_be_named_instead_of_sent(client: OpenAI, finish: Finish) -> None:
    first = finish(tools=[LOOK])
    call = first["output"][-1]
    answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "It was paid in 1911."}
    named = finish(input=[{"type": "item_reference", "id": call["id"]}, answer])
    assert "paid in 1911" in checked_response(named).output_text
    with pytest.raises(openai.BadRequestError, match="Item with id 'fc_gone' not found"):
        client.responses.create(model="m", input=[{"type": "item_reference", "id": "fc_gone"}])
    with pytest.raises(openai.BadRequestError, match="Invalid value: 'song'"):
        client.responses.create(model="m", input=[{"type": "song"}])
    with pytest.raises(openai.BadRequestError, match=r"input\[0\].output"):
        client.responses.create(model="m", input=[{"type": "function_call_output", "call_id": "call_1"}])

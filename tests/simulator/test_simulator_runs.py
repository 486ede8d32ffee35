"""The life of a run: queued, in progress, ended, cancelled, deleted, forgotten."""

from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import ResponseItemList

from backlane.simulator.server import Running
from tests.simulator.provider_strictness import checked, checked_response

TIMES = {"queued_seconds": 10, "running_seconds": 20}


def start(client: OpenAI, **parameters: Any) -> Any:
    return client.responses.create(
        **{"model": "gpt-6-astra", "input": "The gate is green.", "background": True} | parameters
    )


def test_a_run_goes_from_queued_to_completed_as_the_clock_moves(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": TIMES})
    started = start(client)
    seen = [started.status]
    for seconds in (9, 2, 18, 2):
        simulator.advance(seconds)
        raw = client.responses.with_raw_response.retrieve(started.id).http_response.json()
        seen.append(checked_response(raw).status)
        assert (raw["usage"] is None) == (raw["status"] != "completed")
    assert seen == ["queued", "queued", "in_progress", "in_progress", "completed"]
    assert raw["completed_at"] - raw["created_at"] == 30


def test_a_foreground_run_is_complete_at_once(client: OpenAI) -> None:
    assert start(client, background=False).status == "completed"


def test_a_cancelled_run_stays_cancelled_and_has_no_output(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": TIMES})
    started = start(client)
    simulator.advance(15)
    first = client.responses.with_raw_response.cancel(started.id).http_response.json()
    simulator.advance(100)
    second = client.responses.with_raw_response.cancel(started.id).http_response.json()
    assert first == second
    read = checked_response(second)
    assert (read.status, read.output, read.usage) == ("cancelled", [], None)


def test_a_cancelled_run_can_keep_what_it_had_written(simulator: Running, client: OpenAI) -> None:
    simulator.profile(cancel_keeps_output=True, usage_on_cancelled=True)
    simulator.script({"then": TIMES | {"text": "Silent circuits hum, and the night is long and blue."}})
    started = start(client)
    simulator.advance(20)
    raw = client.responses.with_raw_response.cancel(started.id).http_response.json()
    read = checked_response(raw)
    assert read.output_text.startswith("Silent circuits")
    assert read.output[-1].status == "in_progress"
    assert read.usage is not None


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ({}, "Cannot cancel a completed response."),
        ({"status": "failed"}, "Cannot cancel a failed response."),
        ({"status": "incomplete"}, "Cannot cancel a response in terminal state."),
    ],
)
def test_an_ended_run_cannot_be_cancelled(
    simulator: Running, client: OpenAI, then: dict[str, Any], message: str
) -> None:
    simulator.script({"then": then})
    started = start(client)
    simulator.advance(100)
    with pytest.raises(openai.BadRequestError, match=message):
        client.responses.cancel(started.id)
    simulator.profile(cancel_ended="accept")
    assert client.responses.cancel(started.id).status == then.get("status", "completed")
    simulator.profile(cancel_ended="conflict")
    with pytest.raises(openai.ConflictError):
        client.responses.cancel(started.id)


def test_a_synchronous_run_cannot_be_cancelled(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="Cannot cancel a synchronous response"):
        client.responses.cancel(start(client, background=False).id)


def test_a_run_is_deleted_only_after_it_ended(simulator: Running, client: OpenAI) -> None:
    started = start(client)
    with pytest.raises(openai.BadRequestError, match="in-flight"):
        client.responses.delete(started.id)
    simulator.advance(100)
    client.responses.delete(started.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(started.id)
    assert simulator.stats()["deleted"] == 1


def test_an_unknown_run_is_not_found(client: OpenAI) -> None:
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        with pytest.raises(openai.NotFoundError, match="Response with id 'resp_gone' not found"):
            call("resp_gone")


def test_an_unstored_run_is_gone_ten_minutes_after_its_end(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": TIMES})
    started = start(client, store=False)
    simulator.advance(30 + 599)
    assert client.responses.retrieve(started.id).status == "completed"
    simulator.advance(2)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(started.id)


def test_a_zero_retention_account_keeps_nothing_for_long(simulator: Running, client: OpenAI) -> None:
    simulator.profile(zdr=True)
    started = start(client)
    simulator.advance(1000)
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel(started.id)


def test_retention_can_be_shortened_for_everything(simulator: Running, client: OpenAI) -> None:
    simulator.profile(retention_seconds=5)
    started = start(client)
    simulator.advance(50)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(started.id)


def test_a_strict_account_refuses_background_without_store(simulator: Running, client: OpenAI) -> None:
    simulator.profile(strict_store=True)
    with pytest.raises(openai.BadRequestError) as refused:
        start(client, store=False)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "background")


def test_input_items_come_in_pages(client: OpenAI) -> None:
    texts = ["one", "two", "three"]
    started = start(client, input=[{"role": "user", "content": text} for text in texts])
    raw = client.responses.input_items.with_raw_response.list(started.id, limit=2).http_response.json()
    checked(ResponseItemList, raw)
    assert raw["has_more"] is True
    listed = client.responses.input_items.list(started.id, limit=2, order="asc")
    assert [item.content[0].text for item in listed] == texts


def test_a_follow_up_must_answer_open_calls_and_pays_for_its_history(
    simulator: Running, client: OpenAI, finish: Callable[..., dict[str, Any]]
) -> None:
    simulator.script({"then": {"tool_calls": [{"name": "look", "arguments": {"id": "R-17"}}]}})
    first = finish()
    call_id = first["output"][-1]["call_id"]
    with pytest.raises(openai.BadRequestError, match=f"No tool output found for function call {call_id}"):
        start(client, previous_response_id=first["id"])
    answer = [{"type": "function_call_output", "call_id": call_id, "output": "Order R-17 has been paid."}]
    second = finish(previous_response_id=first["id"], input=answer)
    assert "Order R-17 has been paid." in checked_response(second).output_text
    assert second["usage"]["input_tokens"] > first["usage"]["total_tokens"]


def test_an_unknown_parent_is_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        start(client, previous_response_id="resp_gone")
    assert refused.value.code == "previous_response_not_found"

"""Each fault by name: what the unmodified SDK sees, and what the truth log says really happened."""

import json
from email.utils import parsedate_to_datetime
from typing import Any

import openai
import pytest
from openai import OpenAI

from backlane.simulator.faults import FAULTS
from backlane.simulator.server import Running
from backlane.simulator.stream_faults import STREAM_SLOTS
from tests.simulator.provider_strictness import checked_response

# fault, what the SDK raises for a create, outcome, reply and status in the truth log
CREATES: list[tuple[dict[str, Any], type[Exception], str, str, int | None]] = [
    ({"fault": "lose_create_reply"}, openai.APIConnectionError, "accepted", "lost", None),
    ({"fault": "lose_create_reply", "how": "reset"}, openai.APIConnectionError, "accepted", "lost", None),
    ({"fault": "lose_create_reply", "accept": False}, openai.APIConnectionError, "dropped", "lost", None),
    ({"fault": "cut_reply"}, openai.APIConnectionError, "accepted", "cut", 200),
    ({"fault": "garble_reply"}, json.JSONDecodeError, "accepted", "garbled", 200),
    ({"fault": "html_reply", "status": 502}, openai.InternalServerError, "refused", "html", 502),
    (
        {"fault": "html_reply", "status": 502, "accept": True},
        openai.InternalServerError,
        "accepted",
        "html",
        502,
    ),
    ({"fault": "rate_limit"}, openai.RateLimitError, "refused", "sent", 429),
    ({"fault": "quota"}, openai.RateLimitError, "refused", "sent", 429),
    ({"fault": "server_error"}, openai.InternalServerError, "refused", "sent", 500),
    ({"fault": "server_error", "accept": True}, openai.InternalServerError, "accepted", "sent", 500),
    ({"fault": "overloaded"}, openai.InternalServerError, "refused", "sent", 503),
    ({"fault": "slow_down"}, openai.InternalServerError, "refused", "sent", 503),
    ({"fault": "status", "status": 400}, openai.BadRequestError, "refused", "sent", 400),
    ({"fault": "status", "status": 401}, openai.AuthenticationError, "refused", "sent", 401),
    ({"fault": "status", "status": 403}, openai.PermissionDeniedError, "refused", "sent", 403),
    ({"fault": "status", "status": 404}, openai.NotFoundError, "refused", "sent", 404),
    ({"fault": "status", "status": 408}, openai.APIStatusError, "refused", "sent", 408),
    ({"fault": "status", "status": 409, "accept": True}, openai.ConflictError, "accepted", "sent", 409),
]


def start(client: OpenAI, **parameters: Any) -> Any:
    return client.responses.create(
        **{"model": "gpt-6-astra", "input": "The gate is green.", "background": True} | parameters
    )


def payload_of(client: OpenAI, run_id: str) -> dict[str, Any]:
    return client.responses.with_raw_response.retrieve(run_id).http_response.json()


@pytest.mark.parametrize(
    ("fault", "raised", "outcome", "reply", "status"),
    CREATES,
    ids=lambda value: json.dumps(value, default=str)[:60],
)
def test_a_create_meets_a_fault_once(
    simulator: Running,
    client: OpenAI,
    *,
    fault: dict[str, Any],
    raised: type[Exception],
    outcome: str,
    reply: str,
    status: int | None,
) -> None:
    simulator.faults(fault)
    with pytest.raises(raised):
        start(client, metadata={"backlane_attempt": "att_1"})
    assert start(client).status == "queued"
    line = simulator.log()[0]
    told = (line["call"], line["fault"], line["outcome"], line["reply"], line["status_code"])
    assert told == ("create", fault["fault"], outcome, reply, status)
    assert (line["response_id"] is not None) == (outcome == "accepted")
    assert line["metadata"] == {"backlane_attempt": "att_1"}
    assert simulator.stats()["accepted"] == 1 + (outcome == "accepted")


def test_an_html_page_with_status_200_reads_as_text(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "html_reply"})
    assert "<html>" in str(start(client))
    assert simulator.log()[0]["outcome"] == "accepted"


@pytest.mark.parametrize(
    ("given", "after", "after_ms"),
    [
        ({}, None, None),
        ({"retry_after": 1, "retry_after_ms": 494}, "1", "494"),
        ({"retry_after": 999999999}, "999999999", None),
        ({"retry_after": "soon"}, "soon", None),
    ],
)
def test_a_rate_limit_says_when_to_return_in_many_ways(
    simulator: Running, client: OpenAI, given: dict[str, Any], after: str | None, after_ms: str | None
) -> None:
    simulator.faults({"fault": "rate_limit"} | given)
    with pytest.raises(openai.RateLimitError) as refused:
        start(client)
    headers = refused.value.response.headers
    assert (headers.get("retry-after"), headers.get("retry-after-ms")) == (after, after_ms)
    assert refused.value.code == "rate_limit_exceeded"


def test_a_rate_limit_can_name_a_date_by_the_providers_clock(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "rate_limit", "retry_after": "http-date", "seconds": 45})
    with pytest.raises(openai.RateLimitError) as refused:
        start(client)
    headers = refused.value.response.headers
    ahead = parsedate_to_datetime(headers["retry-after"]) - parsedate_to_datetime(headers["date"])
    assert ahead.total_seconds() == 45


@pytest.mark.parametrize("code", ["credit_balance_exhausted", "project_spend_limit_exceeded"])
def test_quota_has_its_own_codes(simulator: Running, client: OpenAI, code: str) -> None:
    simulator.faults({"fault": "quota", "code": code})
    with pytest.raises(openai.RateLimitError) as refused:
        start(client)
    assert (refused.value.code, refused.value.type) == (code, "insufficient_quota")


def test_any_body_and_header_can_be_answered(simulator: Running, client: OpenAI) -> None:
    simulator.faults(
        {"fault": "status", "status": 418, "body": {"detail": "tea"}, "headers": {"x-should-retry": "false"}}
    )
    with pytest.raises(openai.APIStatusError) as refused:
        start(client)
    assert refused.value.body == {"detail": "tea"}
    assert refused.value.response.headers["x-should-retry"] == "false"


def test_the_sdks_own_retries_buy_a_run_twice_when_a_reply_is_lost(simulator: Running) -> None:
    simulator.faults({"fault": "lose_create_reply"})
    simulator.script({"then": {}, "times": None})
    with OpenAI(api_key="sk-test", base_url=simulator.base_url) as retrying:
        kept = start(retrying, metadata={"backlane_attempt": "att_7"})
    stats = simulator.stats()
    assert (stats["creates"], stats["accepted"], stats["duplicates"]) == (2, 2, 1)
    assert stats["duplicated_attempts"] == ["att_7"]
    assert stats["duplicate_runs"][0]["response_ids"][1] == kept.id
    assert [line["retry_count"] for line in simulator.log()] == ["0", "1"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_slow_create_is_bought_although_the_caller_gave_up(simulator: Running, when: str) -> None:
    simulator.faults({"fault": "slow", "when": when, "seconds": 0.5, "real": True})
    with (
        OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0, timeout=0.1) as hasty,
        pytest.raises(openai.APITimeoutError),
    ):
        start(hasty)
    while simulator.log()[0]["status_code"] == 0:
        pass
    assert simulator.log()[0]["outcome"] == "accepted"


def test_a_slow_create_is_only_a_token_wait_on_a_virtual_clock(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "slow", "seconds": 3600})
    assert start(client).status == "queued"
    assert simulator.log()[0]["fault"] == "slow"


def test_a_run_can_end_failed_with_any_code(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "failed", "code": "rate_limit_exceeded", "message": "Too much."})
    started = start(client)
    simulator.advance(100)
    read = checked_response(payload_of(client, started.id))
    assert (read.status, read.error.code, read.error.message) == (
        "failed",
        "rate_limit_exceeded",
        "Too much.",
    )
    assert (read.usage, read.output) == (None, [])


def test_a_run_can_end_incomplete(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "incomplete", "reason": "content_filter"})
    started = start(client)
    simulator.advance(100)
    read = checked_response(payload_of(client, started.id))
    assert (read.status, read.incomplete_details.reason) == ("incomplete", "content_filter")


def test_a_model_can_refuse(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "refusal", "text": "No, thank you."})
    started = start(client)
    simulator.advance(100)
    read = checked_response(payload_of(client, started.id))
    assert read.output[-1].content[0].refusal == "No, thank you."


@pytest.mark.parametrize(
    "name",
    [name for name, kind in FAULTS.items() if kind.slot not in ("reply", "delay", "header", *STREAM_SLOTS)],
)
def test_a_fault_that_shapes_a_run_is_in_the_truth_log(simulator: Running, client: OpenAI, name: str) -> None:
    simulator.faults({"fault": name})
    start(client)
    start(client)
    assert [line["fault"] for line in simulator.log()] == [name, None]


def test_a_run_can_take_longer(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "slow_run", "seconds": 500})
    started = start(client)
    simulator.advance(400)
    assert payload_of(client, started.id)["status"] == "in_progress"


@pytest.mark.parametrize(
    ("fault", "key", "value"),
    [
        ({"fault": "unknown_status"}, "status", "thinking"),
        ({"fault": "unknown_status", "status": "paused"}, "status", "paused"),
        ({"fault": "backwards_status"}, "status", "in_progress"),
    ],
)
def test_one_retrieve_shows_a_strange_status(
    simulator: Running, client: OpenAI, fault: dict[str, Any], key: str, value: str
) -> None:
    started = start(client)
    simulator.advance(100)
    assert payload_of(client, started.id)["status"] == "completed"
    simulator.faults(fault)
    assert payload_of(client, started.id)[key] == value
    assert payload_of(client, started.id)["status"] == "completed"


def test_a_status_goes_backwards_only_after_the_end(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "backwards_status"})
    started = start(client)
    seen = []
    for _ in range(4):
        seen.append(payload_of(client, started.id)["status"])
        simulator.advance(50)
    assert seen == ["queued", "in_progress", "completed", "completed"]


def test_usage_can_be_missing_garbled_or_changing(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "missing_usage"}, {"fault": "garbled_usage"})
    runs = [start(client).id for _ in range(3)]
    simulator.advance(100)
    assert payload_of(client, runs[0])["usage"] is None
    assert payload_of(client, runs[1])["usage"]["input_tokens"] == "many"
    plain = payload_of(client, runs[2])["usage"]
    simulator.faults({"fault": "changed_usage", "add": 7})
    assert payload_of(client, runs[2])["usage"]["output_tokens"] == plain["output_tokens"] + 7


def test_replies_can_ask_for_slower_polling(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "poll_after_ms", "ms": 2500, "call": "retrieve"})
    raw = client.responses.with_raw_response.retrieve(start(client).id)
    assert raw.headers["openai-poll-after-ms"] == "2500"


def test_a_run_can_be_gone_for_some_calls(simulator: Running, client: OpenAI) -> None:
    gone, kept = start(client), start(client)
    simulator.faults({"fault": "gone", "times": None, "match": {"response_id": gone.id}})
    for _ in range(2):
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone.id)
    assert client.responses.retrieve(kept.id).id == kept.id


@pytest.mark.parametrize("call", ["retrieve", "cancel", "delete"])
def test_the_reply_to_any_call_can_be_lost(simulator: Running, client: OpenAI, call: str) -> None:
    started = start(client)
    if call == "delete":
        simulator.advance(100)
    simulator.faults({"fault": "lose_reply", "call": call})
    with pytest.raises(openai.APIConnectionError):
        getattr(client.responses, call)(started.id)
    line = simulator.log()[-1]
    assert (line["call"], line["outcome"], line["reply"]) == (call, "answered", "lost")
    if call == "cancel":
        assert client.responses.retrieve(started.id).status == "cancelled"


@pytest.mark.parametrize(
    ("name", "raised"),
    [
        ("cancel_404", openai.NotFoundError),
        ("cancel_409", openai.ConflictError),
        ("cancel_lost", openai.APIConnectionError),
    ],
)
def test_a_cancel_can_come_to_nothing(
    simulator: Running, client: OpenAI, name: str, raised: type[Exception]
) -> None:
    started = start(client)
    simulator.faults({"fault": name})
    with pytest.raises(raised):
        client.responses.cancel(started.id)
    assert simulator.log()[-1]["outcome"] != "answered"
    assert client.responses.retrieve(started.id).status == "queued"


def test_a_cancelled_run_can_complete_all_the_same(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "complete_after_cancel", "seconds": 30})
    started = start(client)
    assert client.responses.cancel(started.id).status == "cancelled"
    simulator.advance(31)
    read = checked_response(payload_of(client, started.id))
    assert (read.status, read.usage is None) == ("completed", False)


def test_faults_wait_their_turn_and_for_their_match(simulator: Running, client: OpenAI) -> None:
    simulator.faults(
        {"fault": "rate_limit", "times": 2, "match": {"metadata": {"lane": "a"}}},
        {"fault": "server_error", "match": {"input_contains": "green"}},
        {"fault": "overloaded", "call": "retrieve"},
    )
    seen: list[str] = []
    for lane in ("b", "a", "a", "a"):
        try:
            seen.append(start(client, metadata={"lane": lane}).status)
        except openai.APIStatusError as refused:
            seen.append(type(refused).__name__)
    assert seen == ["InternalServerError", "RateLimitError", "RateLimitError", "queued"]
    assert [one["fault"] for one in simulator.control("faults")["waiting"]] == ["overloaded"]


def test_a_rate_of_half_hits_about_half_and_always_the_same(simulator: Running, client: OpenAI) -> None:
    def hits() -> list[bool]:
        simulator.reset()
        simulator.faults({"fault": "poll_after_ms", "times": None, "rate": 0.5})
        for _ in range(20):
            start(client)
        return [line["fault"] is not None for line in simulator.log()]

    first = hits()
    assert first == hits()
    assert 4 < sum(first) < 16


def test_every_fault_is_listed_with_its_parameters(simulator: Running) -> None:
    listed = {one["fault"]: one for one in simulator.control("faults")["known"]}
    assert set(listed) == set(FAULTS)
    described = simulator.app.openapi()["paths"]["/_sim/faults"]["post"]["description"]
    for name, one in listed.items():
        assert f"`{name}`: {one['description']}" in described

"""Reading the provider's objects, sample by sample and mangled; pacing and pricing."""

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlane.core.outcome import Answer, Failed, Finished, Pending, Unknown
from backlane.provider import wire
from backlane.provider.pace import Pace, duration, retry_after
from backlane.provider.prices import price
from backlane.provider.replies import create_refusal, error_body, look_refusal, parse, redact
from backlane.service.keep import answer_of, body_of
from tests.values import NOW

SAMPLES = Path(__file__).parents[1] / "samples"
NAMES = sorted(
    path.name
    for path in SAMPLES.glob("response.*.json")
    if "compaction" not in path.name and "input_tokens" not in path.name
)


def sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / name).read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_sample_is_read_as_what_it_is(name: str) -> None:
    body = sample(name)
    outcome = wire.observed(body, body["id"], None)
    word = name.split(".")[1]
    if word in ("queued", "in_progress"):
        assert isinstance(outcome, Pending)
        return
    assert isinstance(outcome, Failed if word == "failed" else Finished)
    assert outcome.answer.status == {"cancelled": "canceled"}.get(word, word)
    assert (outcome.answer.usage is None) == (body["usage"] is None)


def test_citations_stand_where_the_text_says() -> None:
    body = sample("response.completed.research_citations.json")
    outcome = wire.observed(body, body["id"], None)
    assert isinstance(outcome, Finished)
    answer = outcome.answer
    first = answer.citations[0]
    assert (answer.text[first.start : first.end], first.source, first.title) == (
        "source",
        "https://example.test/otters",
        "Otters",
    )
    assert answer.web_searches == 1
    assert len(answer.citations) == 4


def test_a_refusal_a_filter_and_a_tool_call_are_told_apart() -> None:
    def read(name: str) -> Answer:
        body = sample(name)
        outcome = wire.observed(body, body["id"], None)
        assert isinstance(outcome, Finished)
        return outcome.answer

    assert read("response.completed.refusal.json").refusal == "I can't help with that."
    assert read("response.incomplete.content_filter.json").code == "content_filter"
    assert read("response.incomplete.max_output_tokens.json").code == "incomplete"
    assert read("response.incomplete.max_output_tokens.json").text == "It was a dark and"
    called = read("response.completed.function_call.json")
    assert [(one.call_id, one.name, one.arguments) for one in called.calls] == [
        ("call_01", "lookup_order", '{"order_id":"A-17"}'),
        ("call_02", "lookup_order", '{"order_id":"A-18"}'),
    ]
    assert (called.waits, called.approvals, called.hosted) == (True, (), ())
    assert [one["type"] for one in called.items] == ["reasoning", "function_call", "function_call"]
    assert [one.get("id") for one in called.items] == ["rs_t1", None, None]
    asked = read("response.completed.mcp_approval_request.json")
    assert [(one.id, one.server, one.name) for one in asked.approvals] == [("mcpr_01", "crm", "refund")]
    assert asked.waits and [one["type"] for one in asked.hosted] == ["mcp_list_tools", "mcp_approval_request"]


def test_what_hosted_tools_did_is_kept_in_their_words_and_what_has_no_price_is_named() -> None:
    body = sample("response.completed.research_citations.json")
    outcome = wire.observed(body, body["id"], None)
    assert isinstance(outcome, Finished)
    answer = outcome.answer
    kinds = [one["type"] for one in answer.hosted]
    assert kinds == ["web_search_call"] * 3 + ["file_search_call", "code_interpreter_call"]
    assert answer.hosted[3]["results"][0]["filename"] == "census.pdf"
    assert [(one.container_id, one.file_id, one.name) for one in answer.files] == [
        ("cntr_01", "cfile_01", "report.csv")
    ]
    assert answer.unpriced == ("file search calls", "container time")
    assert (answer.waits, answer.items, answer.web_searches) == (False, (), 1)
    assert answer_of(body_of(answer)) == answer
    del body["tool_usage"]
    again = wire.observed(body, body["id"], None)
    assert isinstance(again, Finished) and again.answer.web_searches == 1


ODD: list[Any] = [
    {"type": "function_call", "name": "x", "arguments": "{}"},
    {"type": "function_call", "call_id": 7, "name": "x", "arguments": "{}"},
    {"type": "function_call", "call_id": "c" * 201, "name": "x", "arguments": "{}"},
    {"type": "mcp_approval_request", "name": "x"},
    {"type": "custom_tool_call", "call_id": "c", "name": "x", "input": "y"},
    {"type": "computer_call", "call_id": "c"},
    {"type": "local_shell_call", "call_id": "c"},
    {"type": "apply_patch_call", "call_id": "c"},
    {"type": "shell_call", "call_id": "c"},
]


@pytest.mark.parametrize("item", ODD)
def test_a_call_that_nobody_can_answer_says_so(item: Any) -> None:
    body = {"id": "resp_1", "status": "completed", "output": [item]}
    outcome = wire.observed(body, "resp_1", None)
    assert isinstance(outcome, Finished)
    assert (outcome.answer.code, outcome.answer.waits) == ("tool_not_available", False)


@pytest.mark.parametrize("kind", [7, None, [], {}, "a new one", ["function_call"]])
def test_items_of_no_known_shape_are_no_trouble(kind: Any) -> None:
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    hosted = {"type": "mcp_call", "output": deep, "error": "\ud800\x00"}
    item = {"type": kind, "call_id": [], "content": {"annotations": 3}}
    message = {"type": "message", "content": [{"annotations": [{"type": "container_file_citation"}, 4]}]}
    body = {"id": "resp_1", "status": "completed", "output": [item, hosted, message, None, 5]}
    outcome = wire.observed(body, "resp_1", None)
    assert isinstance(outcome, Finished)
    assert (outcome.answer.code, outcome.answer.calls, outcome.answer.files) == (None, (), ())
    assert json.dumps(outcome.answer.hosted, ensure_ascii=False).encode()


def test_a_call_named_twice_is_one_call_and_what_must_be_repeated_is_kept_whatever_its_size() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "x", "arguments": "y" * 2_000_000}
    said = {"type": "message", "content": [{"type": "output_text", "text": "z"}]}
    body = {"id": "resp_1", "status": "completed", "output": [said, call, call]}
    outcome = wire.observed(body, "resp_1", None)
    assert isinstance(outcome, Finished)
    assert len(outcome.answer.calls) == 1
    assert [one["type"] for one in outcome.answer.items] == ["function_call", "function_call"]


def test_only_the_final_answer_counts_where_one_is_marked() -> None:
    body = sample("response.completed.json")
    comment = copy.deepcopy(body["output"][1]) | {"phase": "commentary"}
    body["output"][1]["phase"] = "final_answer"
    body["output"].insert(1, comment)
    outcome = wire.observed(body, body["id"], None)
    assert isinstance(outcome, Finished)
    assert outcome.answer.text == "Otters float on."


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(NAMES), st.data())
def test_a_mangled_object_crashes_nothing(name: str, data: st.DataObject) -> None:
    body = sample(name)
    for field in data.draw(st.lists(st.sampled_from(sorted(set(body) - {"id"})), max_size=4)):
        body[field] = data.draw(json_values)
    outcome = wire.observed(body, body["id"], None)
    assert isinstance(outcome, Pending | Finished | Failed | Unknown)
    if isinstance(outcome, Finished | Failed):
        assert price(outcome.answer, NOW).basis


@given(
    st.binary(max_size=80), st.sampled_from([200, 204, 301, 400, 401, 404, 408, 409, 418, 429, 500, 503, 599])
)
def test_any_body_under_any_status_has_a_meaning(body: bytes, status: int) -> None:
    from backlane.provider.replies import Reply

    reply = Reply(status, {"retry-after": body.decode("latin-1")}, body)
    assert create_refusal(reply, NOW).code
    look_refusal(reply, NOW)
    error_body(body)
    wire.accepted(parse(body), None)


def test_durations_and_retry_hints_are_read_and_nonsense_is_not() -> None:
    assert [duration(text) for text in ("6ms", "1m0.052s", "20s", "1h2m3s", "", "x", "5", "5s x")] == [
        6, 60_052, 20_000, 3_723_000, None, None, None, None,
    ]  # fmt: skip
    assert retry_after({"retry-after": "1", "retry-after-ms": "494"}, NOW) == 494
    assert (
        retry_after({"retry-after": "Fri, 20 Nov 2026 12:00:00 GMT"}, 1_795_176_000_000 - 5_000) is not None
    )
    for nonsense in ("-5", "nan", "inf", "soon", ""):
        assert retry_after({"retry-after": nonsense}, NOW) is None, nonsense
    assert retry_after({"retry-after": "1e30"}, NOW) == 10 * 86_400_000


def test_looks_share_one_budget() -> None:
    now = [NOW]
    pace = Pace(lambda: now[0], lambda: 0.0, looks_per_second=10, looks_burst=5)
    assert [pace.look_wait("a") for _ in range(5)] == [0] * 5
    assert pace.look_wait("a") == 100
    assert pace.look_wait("b") == 0
    now[0] += 100
    assert pace.look_wait("a") == 0
    pace.hold_looks("a", 2_000)
    assert pace.look_wait("a") == 2_000


def test_creates_spend_what_the_headers_left() -> None:
    now = [NOW]
    pace = Pace(lambda: now[0], lambda: 0.5)
    pace.saw_create("a", "m", {"x-ratelimit-remaining-requests": "2", "x-ratelimit-reset-requests": "10s"})
    assert [pace.create_wait("a", "m") for _ in range(2)] == [0, 0]
    assert pace.create_wait("a", "m") > 10_000
    now[0] += 10_001
    assert pace.create_wait("a", "m") == 0
    pace.saw_create("a", "m", {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "3s"})
    assert pace.create_wait("a", "m") > 3_000


def answer(**changes: Any) -> Answer:
    usage = {
        "input_tokens": 10_000, "output_tokens": 2_000, "total_tokens": 12_000,
        "input_tokens_details": {"cached_tokens": 4_000, "cache_write_tokens": 1_000},
    }  # fmt: skip
    values = {
        "response_id": "r",
        "status": "completed",
        "usage": usage,
        "model": "gpt-6-astra",
        "service_tier": "default",
    }
    return Answer(**{**values, **changes})


def test_prices_are_exact_and_follow_the_reported_tier() -> None:
    at = 1_795_132_800_000
    assert price(answer(), at).amount == Decimal("0.1665")
    assert price(answer(service_tier="flex"), at).amount == Decimal("0.08325")
    assert price(answer(model="sim-mini"), at).amount == Decimal("0.00164")
    assert "gpt-6-astra default" in price(answer(), at).basis


@pytest.mark.parametrize(
    "changes",
    [{"usage": None}, {"model": "no-such-model-9"}, {"model": None}, {"service_tier": "ultrafast"}],
)
def test_what_has_no_price_is_unpriced_and_never_zero(changes: dict[str, Any]) -> None:
    found = price(answer(**changes), NOW)
    assert found.amount is None
    assert found.basis.startswith("unpriced")


def test_secrets_are_cut_out_of_messages() -> None:
    assert redact("key sk-abc123, secret whsec_zzz and Bearer tok") == "key sk-…, secret whsec_… and Bearer …"

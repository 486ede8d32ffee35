"""Every recorded Response, and every way to be none, becomes an outcome value."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import Accepted, Answer, Failed, Finished, Pending, Unknown
from backlane.provider.wire import accepted, is_run_id, observed, usage

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name: str) -> dict[str, Any]:
    return json.loads((SAMPLES / f"response.{name}.json").read_text())


def ended(body: dict[str, Any]) -> Answer:
    outcome = observed(body, body["id"], None)
    assert isinstance(outcome, Finished | Failed), outcome
    return outcome.answer


def message(*parts: dict[str, Any], phase: str | None = None) -> dict[str, Any]:
    return {"type": "message", "content": list(parts), **({"phase": phase} if phase else {})}


def text(words: str, *notes: dict[str, Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": list(notes)}


def completed(*items: Any, **more: Any) -> dict[str, Any]:
    return {"id": "resp_1", "status": "completed", "output": list(items), **more}


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("completed", "completed", None),
        ("completed.flex", "completed", None),
        ("completed.function_call", "completed", None),
        ("completed.json_schema", "completed", None),
        ("completed.mcp_approval_request", "completed", None),
        ("completed.mcp_call", "completed", None),
        ("completed.mcp_call_failed", "completed", None),
        ("completed.refusal", "completed", None),
        ("completed.research_citations", "completed", None),
        ("cancelled.partial", "canceled", None),
        ("cancelled.queued", "canceled", None),
        ("incomplete.content_filter", "incomplete", "content_filter"),
        ("incomplete.max_output_tokens", "incomplete", "incomplete"),
        ("failed", "failed", "server_error"),
        ("failed.rate_limit", "failed", "rate_limit_exceeded"),
    ],
)
def test_a_run_that_ended_is_told_in_our_words(name: str, status: str, code: str | None) -> None:
    body = sample(name)
    outcome = observed(body, body["id"], None)
    assert isinstance(outcome, Failed if status == "failed" else Finished)
    assert (outcome.answer.status, outcome.answer.code) == (status, code)
    assert accepted(body, None) == Accepted(body["id"], body["status"], None, ended=True)


@pytest.mark.parametrize(("name", "word"), [("queued", "queued"), ("in_progress", "in_progress")])
def test_a_run_that_goes_on_is_pending_and_keeps_its_hint(name: str, word: str) -> None:
    body = sample(name)
    body["metadata"] = {"backlane_attempt": "att_1"}
    assert observed(body, body["id"], 700) == Pending(word, 700, {"backlane_attempt": "att_1"})
    assert accepted(body, 700, "att_1") == Accepted(body["id"], word, 700)


@pytest.mark.parametrize("status", ["WEIRD", "", None, 7, ["completed"], {}])
def test_a_status_nobody_knows_keeps_polling(status: Any) -> None:
    word = status if isinstance(status, str) and status else "unknown"
    assert observed({"id": "resp_1", "status": status}, "resp_1", None) == Pending(word)
    assert accepted({"id": "resp_1", "status": status}, None) == Accepted("resp_1", word, None)


def test_a_reply_with_an_error_but_an_id_is_still_a_purchase() -> None:
    body = {"id": "resp_1", "error": {"message": "odd"}, "output": 7, "metadata": []}
    assert accepted(body, None) == Accepted("resp_1", "unknown", None)


@pytest.mark.parametrize(
    "reply", [None, [], "resp_1", 5, {}, {"id": None}, {"id": ""}, {"id": "a b"}, {"id": 3}, {"error": {}}]
)
def test_a_reply_that_names_no_run_is_not_knowing(reply: Any) -> None:
    assert isinstance(accepted(reply, None), Unknown)
    assert isinstance(observed(reply, "resp_1", None), Unknown)


def test_a_reply_about_another_run_teaches_nothing() -> None:
    outcome = observed(sample("completed"), "resp_other", None)
    assert isinstance(outcome, Unknown) and outcome.code == "wrong_response"


def test_a_create_reply_that_names_another_attempt_is_not_adopted() -> None:
    body = {"id": "resp_1", "status": "queued", "metadata": {"backlane_attempt": "att_other"}}
    outcome = accepted(body, None, "att_mine")
    assert isinstance(outcome, Unknown) and outcome.code == "wrong_response"


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "x" * 201, "ré", "a\n", None, 5])
def test_what_cannot_name_a_run(name: Any) -> None:
    assert not is_run_id(name)


def test_the_answer_of_a_completed_run_keeps_what_costing_and_settling_need() -> None:
    body = sample("completed")
    answer = ended(body)
    words = [part["text"] for item in body["output"] if item["type"] == "message" for part in item["content"]]
    assert answer.text == "".join(words)
    assert answer.usage == body["usage"]
    assert (answer.model, answer.service_tier) == (body["model"], body["service_tier"])


def test_citations_of_a_research_run_point_into_the_text() -> None:
    answer = ended(sample("completed.research_citations"))
    found = [(one.kind, one.source, one.title, answer.text[one.start : one.end]) for one in answer.citations]
    url = ("url_citation", "https://example.test/otters", "Otters", answer.text[37:43])
    assert found[0] == url
    assert found[1][:3] == ("file_citation", "file-otter1", "census.pdf")
    assert found[2] == ("container_file_citation", "cfile_01", "report.csv", answer.text[50:60])
    assert found[3][:3] == ("file_path", "file-otter2", None)
    assert answer.web_searches == 1


def test_citations_of_later_parts_count_from_the_start_of_the_whole_text() -> None:
    note = {"type": "url_citation", "start_index": 1, "end_index": 3, "url": "https://u", "title": None}
    answer = ended(completed(message(text("first ")), message(text("second", note))))
    assert answer.text == "first second"
    (only,) = answer.citations
    assert answer.text[only.start : only.end] == "ec"


@pytest.mark.parametrize("offsets", [(-5, 99), ("1", "2"), (None, None), (True, False), (9, 1), (2**80, 2)])
def test_citation_offsets_never_leave_their_part(offsets: tuple[Any, Any]) -> None:
    note = {"type": "url_citation", "url": "https://u", "start_index": offsets[0], "end_index": offsets[1]}
    answer = ended(completed(message(text("abc", note)), message(text("def"))))
    (only,) = answer.citations
    assert 0 <= only.start <= only.end <= 3


def test_commentary_is_left_out_where_an_answer_is_marked_final() -> None:
    thought, said = message(text("hm"), phase="commentary"), message(text("42"), phase="final_answer")
    assert ended(completed(thought, said)).text == "42"
    assert ended(completed(thought)).text == "hm"


def test_a_refusal_is_kept_apart_from_text() -> None:
    answer = ended(sample("completed.refusal"))
    assert answer.refusal and answer.text == ""
    assert ended(completed(message({"type": "refusal"}))).refusal == "refused"


def test_text_of_a_canceled_run_is_kept() -> None:
    answer = ended(sample("cancelled.partial"))
    assert answer.text == "Silent circuits hum," and answer.usage is None


def test_an_incomplete_run_says_why() -> None:
    assert ended(sample("incomplete.max_output_tokens")).message == "max_output_tokens"
    assert ended({"id": "r", "status": "incomplete"}).message == "unknown"


def test_text_that_no_database_takes_is_mended_without_moving_offsets() -> None:
    body = json.loads(
        '{"id":"r","status":"failed","error":{"code":"x\\u0000","message":"\\ud83d sk-live123"}}'
    )
    answer = ended(body)
    assert (answer.code, answer.message) == ("x\ufffd", "\ufffd sk-…")


@pytest.mark.parametrize(
    "output",
    [None, "text", 5, {}, [None, 5, "x", []], [{"type": "message", "content": "x"}], [{"type": ["message"]}]],
)
def test_output_that_cannot_be_read_is_kept_raw_and_is_no_answer(output: Any) -> None:
    odd = {"tool_usage": 5, "metadata": {"a": 1, "b": "kept"}, "model": 5, "usage": "lots"}
    answer = ended({"id": "r", "status": "completed", "output": output, **odd})
    [*_, new] = answer.hosted
    assert (new["type"], new["tool_usage"], new["usage"]) == ("response_fields", 5, "lots")
    readable = output is None or output == [{"type": ["message"]}]
    assert (answer.code, "output" in new) == ((None, False) if readable else ("invalid_output", True))
    assert (answer.text, answer.model, answer.usage, answer.web_searches) == ("", None, None, 0)
    assert answer.metadata == {"b": "kept"}


def test_what_is_new_inside_known_fields_is_kept_alone_in_its_place() -> None:
    body = {
        "id": "r",
        "status": "completed",
        "error": {"code": "x", "message": "m", "retry_in": 3},
        "incomplete_details": {"reason": "x", "at": {"token": 5}},
        "reasoning": {"effort": "low", "depth": None},
        "tool_usage": {"web_search": {"num_requests": 1, "cached": 1}, "dreams": 2},
        "output": [],
    }
    [new] = ended(body).hosted
    assert new == {
        "type": "response_fields",
        "error": {"retry_in": 3},
        "incomplete_details": {"at": {"token": 5}},
        "reasoning": {"depth": None},
        "tool_usage": {"web_search": {"cached": 1}, "dreams": 2},
    }
    for name in ("error", "incomplete_details", "tool_usage"):
        del body[name]
    assert ended({**body, "reasoning": {"effort": None, "summary": None}}).hosted == ()


@pytest.mark.parametrize(
    "reported",
    [
        None,
        {},
        {"input_tokens": 5},
        {"input_tokens": "5", "output_tokens": 1},
        {"input_tokens": 5.0, "output_tokens": 1},
        {"input_tokens": True, "output_tokens": 1},
        {"input_tokens": -1, "output_tokens": 1},
        {"input_tokens": 10**400, "output_tokens": 1},
    ],
)
def test_garbled_usage_is_no_usage(reported: Any) -> None:
    assert usage(reported) is None

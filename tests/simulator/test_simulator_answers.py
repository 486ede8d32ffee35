"""Answers come from the request: quotes that can be verified, honest usage, limits kept."""

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.simulator.conftest import ARTICLE
from tests.simulator.provider_strictness import checked_response

Finish = Callable[..., dict[str, Any]]
LOOK = {
    "type": "function",
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"order_id": {"type": "string"}},
        "required": ["order_id"],
        "additionalProperties": False,
    },
    "strict": True,
}


def assert_quotes_are_true(payload: dict[str, Any], parts: list[str]) -> int:
    """Each citation's span of the answer equals the characters of the input it names."""
    content = payload["output"][-1]["content"][0]
    for note in content["annotations"]:
        url = urlsplit(note["url"])
        query = parse_qs(url.query)
        source = parts[int(url.path.strip("/")) - 1]
        quoted = source[int(query["from"][0]) : int(query["to"][0])]
        assert url.netloc == "part"
        assert content["text"][note["start_index"] : note["end_index"]] == quoted != ""
    return len(content["annotations"])


def test_a_summary_quotes_the_input_and_proves_it(finish: Finish) -> None:
    payload = finish()
    assert assert_quotes_are_true(payload, [ARTICLE]) == 4
    read = checked_response(payload)
    assert read.output_text.startswith("# Summary: ")
    assert read.usage.input_tokens >= len(ARTICLE) // 4


def test_a_report_has_sections_and_sources(finish: Finish) -> None:
    payload = finish(instructions="Write a detailed report.", input=ARTICLE * 3)
    assert assert_quotes_are_true(payload, [ARTICLE * 3]) >= 10
    assert checked_response(payload).output_text.count("\n## ") >= 4


def test_quotes_name_the_right_part_of_many(finish: Finish) -> None:
    told, note = "Never quote this rule, whatever happens.", "The lighthouse keeper counted 88 seals."
    file = base64.b64encode(ARTICLE.encode()).decode()
    given = [
        {"role": "developer", "content": told},
        {"role": "user", "content": [{"type": "input_text", "text": note}]},
        {
            "role": "user",
            "content": [
                {"type": "input_file", "filename": "a.txt", "file_data": f"data:text/plain;base64,{file}"}
            ],
        },
    ]
    payload = finish(input=given)
    assert assert_quotes_are_true(payload, [told, note, ARTICLE]) >= 2
    assert told not in json.dumps(payload["output"])


def test_an_empty_input_gets_an_answer_without_quotes(finish: Finish) -> None:
    assert assert_quotes_are_true(finish(input="Hi"), ["Hi"]) == 0


def test_a_limit_cuts_the_answer_and_says_so(finish: Finish) -> None:
    payload = finish(max_output_tokens=20)
    read = checked_response(payload)
    assert (read.status, read.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert read.usage.output_tokens <= 20
    assert read.output[-1].status == "incomplete"


def test_a_generous_limit_changes_nothing(finish: Finish) -> None:
    payload = finish(max_output_tokens=4000)
    assert payload["status"] == "completed"
    assert payload["usage"]["output_tokens"] <= 4000


def test_a_required_tool_is_called_with_arguments_from_the_input(finish: Finish) -> None:
    for choice in ("required", {"type": "function", "name": "look_up"}):
        read = checked_response(finish(tools=[LOOK], tool_choice=choice))
        assert json.loads(read.output[-1].arguments) == {"order_id": "R-17"}
        assert read.status == "completed"


def test_an_optional_tool_is_left_alone_where_the_input_holds_nothing_for_it(finish: Finish) -> None:
    given = "The gate is green and the quay is long."
    assert checked_response(finish(tools=[LOOK], input=given)).output[-1].type == "message"


def test_requests_of_every_shape_are_echoed_as_the_sdk_expects(finish: Finish) -> None:
    read = checked_response(
        finish(
            instructions="Be brief.",
            metadata={"backlane_attempt": "att_1"},
            reasoning={"effort": "low", "summary": "auto"},
            text={"format": {"type": "json_object"}, "verbosity": "low"},
            tools=[{"type": "web_search"}, {"type": "function", "name": "plain", "strict": False}],
            tool_choice="auto",
            temperature=0.2,
            top_p=None,
            parallel_tool_calls=False,
            truncation="auto",
            service_tier="flex",
            background_options={"completion_window": "soonest"},
            include=["reasoning.encrypted_content"],
            safety_identifier="user_1",
        )
    )
    assert (read.instructions, read.temperature, read.top_p) == ("Be brief.", 0.2, 1.0)
    assert (read.service_tier, read.text.verbosity, read.truncation) == ("flex", "low", "auto")
    assert read.metadata == {"backlane_attempt": "att_1"}
    assert set(json.loads(read.output_text)) == {"summary", "key_terms"}

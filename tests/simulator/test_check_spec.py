"""`make check-spec FILE`: what is not as an OpenAPI file says is found, named by a pointer, and fails the command."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tools.check_spec import main
from tools.spec_calls import walk
from tools.spec_judge import Description, Exchange, events_of

SCHEMAS: dict[str, Any] = {
    "Run": {
        "type": "object",
        "required": ["id", "output"],
        "properties": {"id": {"type": "string"}, "output": {"items": {"$ref": "#/components/schemas/Item"}}},
    },
    "Item": {
        "anyOf": [
            {"$ref": "#/components/schemas/Message"},
            {"type": "object", "properties": {"type": {"const": "reasoning"}, "id": {"type": "string"}}},
            {"type": "object", "properties": {"type": {"not": {"enum": ["message", "reasoning"]}}}},
        ]
    },
    "Message": {
        "type": "object",
        "required": ["role"],
        "properties": {"type": {"const": "message"}, "role": {"const": "assistant"}},
    },
    "ResponseStreamEvent": {"type": "object", "required": ["type", "sequence_number"]},
    "ErrorResponse": {"type": "object", "required": ["error"]},
}


def written(folder: Path, **schemas: Any) -> Path:
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}}}
    asked = {"content": {"application/json": {"schema": {"type": "object", "required": ["model"]}}}}
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/responses": {"post": {"requestBody": asked, "responses": {"200": answer}}},
            "/responses/{response_id}": {"get": {"responses": {"200": answer}}},
        },
        "components": {"schemas": SCHEMAS | schemas},
    }
    # JSON is YAML.
    path = folder / "described.yaml"
    path.write_text(json.dumps(document))
    return path


def test_a_simulator_that_speaks_as_described_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(written(tmp_path))]) == 0
    told = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("GET /responses/{response_id}: ") and ", 0 violations" in line for line in told
    )
    assert any(line.startswith("POST /responses: ") and "200 x" in line for line in told)
    assert told[-1] == "check-spec: 0 unexplained violations"


def test_what_is_not_as_described_is_named_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = SCHEMAS["Message"] | {"properties": {"type": {"const": "message"}, "role": {"const": "king"}}}
    assert main([str(written(tmp_path, Message=other))]) == 1
    told = capsys.readouterr().out
    assert "answer 200 /output/1/role: 'king' was expected" in told
    assert "check-spec: 0" not in told


def test_requests_refusals_and_stream_events_are_judged(tmp_path: Path) -> None:
    described = Description(written(tmp_path))
    events = events_of(
        'event: x\ndata: {"type": "x", "sequence_number": 0}\n\ndata: {"type": "y"}\n\ndata: [DONE]\n'
    )
    calls = [
        Exchange("POST", "/responses", {}, 200, {"id": "resp_1", "output": []}),
        Exchange("POST", "/responses", {}, 400, {"error": {}}),
        Exchange("POST", "/responses", None, 500, {"detail": "x"}),
        Exchange("POST", "/responses", None, 200, None, events),
        Exchange("GET", "/elsewhere", {}, 200, {}),
    ]
    found = [str(one) for call in calls for one in described.judge(call)]
    assert found == [
        "POST /responses request /: 'model' is a required property",
        "POST /responses answer 500 /: 'error' is a required property",
        "POST /responses event y /: 'sequence_number' is a required property",
    ]


def test_a_file_that_is_not_there_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.yaml"]) == main([]) == 2
    assert "there is no file nowhere.yaml" in capsys.readouterr().err


def test_the_walk_goes_wherever_the_lanes_go() -> None:
    calls, hooks = walk()
    kinds = {event["type"].removeprefix("response.") for call in calls for event in call.events}
    tools = ("web_search_call", "file_search_call", "code_interpreter_call", "mcp_call", "mcp_list_tools")
    assert {f"{tool}.in_progress" for tool in tools} <= kinds
    ends = {"completed", "failed", "incomplete", "refusal.done", "mcp_call.failed", "mcp_list_tools.failed"}
    assert ends <= kinds
    errors = [event for call in calls for event in call.events if event["type"] == "error"]
    assert {"error" in event for event in errors} == {True, False}
    bodies = json.dumps([call.body for call in calls])
    for part in ("mcp_approval_response", "file_data", "data:image/png", "function_call_output", '"8h"'):
        assert part in bodies, part
    shapes = {re.sub(r"(cntr|cfile|file)[_-]\w+", "x", f"{call.method} {call.path}") for call in calls}
    assert {"GET /containers/x", "GET /containers/x/files", "GET /containers/x/files/x/content"} <= shapes
    assert {"GET /files", "GET /files/x/content", "DELETE /files/x", "POST /files"} <= shapes
    assert {hook["type"].removeprefix("response.") for hook in hooks} >= {"cancelled", "incomplete"}

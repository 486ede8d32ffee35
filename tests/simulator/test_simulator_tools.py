"""Hosted tools: items of the provider's shapes, evidence only where it is asked for, containers that expire."""

import base64
import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import ContainerRetrieveResponse
from openai.types.containers import FileRetrieveResponse

from backlane.simulator.server import Running
from tests.simulator.provider_strictness import checked, checked_response

Finish = Callable[..., dict[str, Any]]
WEB = {"type": "web_search"}
FILES = {"type": "file_search", "vector_store_ids": ["vs_1"]}
CODE = {"type": "code_interpreter", "container": {"type": "auto"}}
MCP = {
    "type": "mcp",
    "server_label": "crm",
    "server_url": "https://mcp.example.test/sse",
    "allowed_tools": ["refund"],
}
FREE = MCP | {"require_approval": "never"}


def kinds(payload: dict[str, Any]) -> list[str]:
    return [item["type"] for item in payload["output"]]


def notes(payload: dict[str, Any], kind: str) -> list[Any]:
    content = checked_response(payload).output[-1].content[0]
    return [note for note in content.annotations if note.type == kind]


def test_a_web_search_shows_its_calls_its_bill_and_its_sources_only_when_asked(
    client: OpenAI, finish: Finish
) -> None:
    payload = finish(tools=[WEB])
    assert kinds(payload) == ["reasoning", *["web_search_call"] * 3, "message"]
    actions = [item["action"] for item in payload["output"][1:4]]
    assert [action["type"] for action in actions] == ["search", "open_page", "find_in_page"]
    assert "sources" not in actions[0]
    assert checked_response(payload).tool_usage.web_search.num_requests == 1
    cited = [note for note in notes(payload, "url_citation") if note.url.startswith("https://")]
    text = checked_response(payload).output_text
    assert cited
    assert all(text[note.start_index : note.end_index].strip() for note in cited)
    told = client.responses.retrieve(payload["id"], include=["web_search_call.action.sources"])
    assert [one.url for one in told.output[1].action.sources] == [note.url for note in cited]
    included = finish(tools=[WEB], include=["web_search_call.action.sources"])
    assert "sources" in included["output"][1]["action"]


def test_a_file_search_finds_what_was_uploaded(client: OpenAI, finish: Finish) -> None:
    line = "The lighthouse keeper counted 88 seals."
    made = client.files.create(file=("seals.txt", line.encode()), purpose="assistants")
    payload = finish(tools=[FILES], include=["file_search_call.results"])
    (result,) = payload["output"][1]["results"]
    assert (result["file_id"], result["filename"], result["text"]) == (made.id, "seals.txt", line)
    (note,) = notes(payload, "file_citation")
    assert checked_response(payload).output_text[: note.index].endswith(line)
    client.files.delete(made.id)
    later = finish(tools=[FILES])
    assert "results" not in later["output"][1]
    assert made.id not in [note.file_id for note in notes(later, "file_citation")]


def test_code_leaves_files_that_can_be_copied_until_the_container_expires(
    client: OpenAI, simulator: Running, finish: Finish
) -> None:
    given = client.files.create(file=("given.csv", b"a,b"), purpose="user_data")
    tool = {"type": "code_interpreter", "container": {"type": "auto", "file_ids": [given.id]}}
    payload = finish(tools=[tool], include=["code_interpreter_call.outputs"])
    call = payload["output"][1]
    assert call["outputs"][0]["type"] == "logs"
    (note,) = notes(payload, "container_file_citation")
    text = checked_response(payload).output_text
    assert text[note.start_index : note.end_index] == note.filename == "report.csv"
    files = client.containers.files
    assert {file.source for file in files.list(call["container_id"])} == {"user", "assistant"}
    simulator.advance(19 * 60)
    body = files.content.retrieve(note.file_id, container_id=note.container_id).content
    assert body.startswith(b"row,number\n1,1893\n")
    simulator.advance(19 * 60)
    raw = client.containers.with_raw_response.retrieve(note.container_id).http_response.json()
    assert checked(ContainerRetrieveResponse, raw).status == "running"
    simulator.advance(20 * 60)
    with pytest.raises(openai.NotFoundError, match="expired"):
        files.content.retrieve(note.file_id, container_id=note.container_id)
    assert client.containers.retrieve(note.container_id).status == "expired"
    raw = files.with_raw_response.retrieve(note.file_id, container_id=note.container_id).http_response.json()
    assert checked(FileRetrieveResponse, raw).bytes == len(body)


def test_a_container_can_be_gone_before_its_time(client: OpenAI, simulator: Running, finish: Finish) -> None:
    (note,) = notes(finish(tools=[CODE]), "container_file_citation")
    simulator.faults({"fault": "container_expired", "call": "container_content"})
    for _ in range(2):
        with pytest.raises(openai.NotFoundError, match="expired"):
            client.containers.files.content.retrieve(note.file_id, container_id=note.container_id)
    assert client.containers.retrieve(note.container_id).status == "expired"
    with pytest.raises(openai.NotFoundError, match="'cntr_gone' not found"):
        client.containers.retrieve("cntr_gone")
    with pytest.raises(openai.NotFoundError, match="'cfile_gone' not found"):
        client.containers.files.retrieve("cfile_gone", container_id=note.container_id)


def test_code_runs_again_only_in_a_container_that_is_there(
    client: OpenAI, simulator: Running, finish: Finish
) -> None:
    first = finish(tools=[CODE])["output"][1]["container_id"]
    again = finish(tools=[CODE | {"container": first}], input="Add 7 and 8, please.")
    assert again["output"][1]["container_id"] == first
    assert len(client.containers.files.list(first).data) == 2
    simulator.advance(20 * 60)
    for container, told in (
        (first, "is expired"),
        ("cntr_gone", "not found"),
        ({"type": "auto", "file_ids": ["file-gone"]}, "'file-gone' was not found"),
    ):
        with pytest.raises(openai.BadRequestError, match=told):
            client.responses.create(model="m", input="Add them.", tools=[CODE | {"container": container}])


def test_looks_need_not_keep_a_container_alive(client: OpenAI, simulator: Running, finish: Finish) -> None:
    simulator.profile(container_looks_count=False, container_minutes=3)
    (note,) = notes(finish(tools=[CODE]), "container_file_citation")
    simulator.advance(60)
    assert client.containers.retrieve(note.container_id).status == "running"
    simulator.advance(60)
    assert client.containers.retrieve(note.container_id).status == "expired"


def test_an_mcp_call_waits_for_its_approval(finish: Finish) -> None:
    first = finish(tools=[MCP])
    assert kinds(first) == ["reasoning", "mcp_list_tools", "mcp_approval_request"]
    assert checked_response(first).status == "completed"
    request = first["output"][-1]
    answer = {"type": "mcp_approval_response", "approval_request_id": request["id"], "approve": True}
    second = finish(tools=[MCP], previous_response_id=first["id"], input=[answer])
    assert kinds(second) == ["reasoning", "mcp_call", "message"]
    call = checked_response(second).output[1]
    assert (call.approval_request_id, call.arguments) == (request["id"], request["arguments"])
    assert call.output in checked_response(second).output_text
    third = finish(tools=[MCP], previous_response_id=second["id"], input="Thank you very much.")
    assert kinds(third) == ["reasoning", "message"]


def test_an_mcp_call_that_is_not_approved_is_not_made(finish: Finish) -> None:
    first = finish(tools=[MCP])
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": first["output"][-1]["id"],
        "approve": False,
        "reason": "too much",
    }
    second = finish(tools=[MCP], previous_response_id=first["id"], input=[answer])
    assert kinds(second) == ["reasoning", "message"]
    assert "not approved: too much" in checked_response(second).output_text


def test_an_approval_names_a_request_and_brings_the_tools_again(client: OpenAI, finish: Finish) -> None:
    first = finish(tools=[MCP])
    answer = {
        "type": "mcp_approval_response",
        "approval_request_id": first["output"][-1]["id"],
        "approve": True,
    }

    def follow(given: dict[str, Any], tools: list[Any]) -> None:
        client.responses.create(model="m", previous_response_id=first["id"], input=[given], tools=tools)

    with pytest.raises(openai.BadRequestError, match="MCP server 'crm'"):
        follow(answer, [])
    with pytest.raises(openai.BadRequestError, match="Approval request with id 'mcpr_gone' not found"):
        follow({**answer, "approval_request_id": "mcpr_gone"}, [MCP])


@pytest.mark.parametrize(
    ("rule", "asks"),
    [
        (None, True),
        ("always", True),
        ("never", False),
        ({"never": {"tool_names": ["refund"]}}, False),
        ({"never": {"tool_names": ["other"]}}, True),
        ({"always": {"tool_names": ["refund"]}}, True),
        ({"always": {"tool_names": ["other"]}}, False),
    ],
)
def test_the_request_says_which_calls_need_an_approval(finish: Finish, rule: Any, asks: bool) -> None:
    made = kinds(finish(tools=[MCP | {"require_approval": rule}]))
    assert ("mcp_approval_request" in made, "mcp_call" in made) == (asks, not asks)


@pytest.mark.parametrize("kind", ["http_error", "mcp_protocol_error", "mcp_tool_execution_error"])
def test_a_failed_mcp_call_fails_no_run(simulator: Running, finish: Finish, kind: str) -> None:
    simulator.faults({"fault": "mcp_failed", "type": kind, "message": "The till is closed."})
    read = checked_response(finish(tools=[FREE]))
    call = read.output[2]
    assert (read.status, call.status, call.error.type, call.output) == ("completed", "failed", kind, None)
    assert "The till is closed." in read.output_text
    simulator.faults({"fault": "mcp_failed", "listing": True, "message": "No such server."})
    payload = finish(tools=[FREE])
    assert kinds(payload) == ["reasoning", "mcp_list_tools", "message"]
    assert checked_response(payload).output[1].error == "No such server."


def test_a_request_limits_its_calls_and_chooses_its_tools(finish: Finish) -> None:
    tools = [WEB, FILES, CODE, FREE]
    assert len(kinds(finish(tools=tools))) == 9
    assert kinds(finish(tools=[WEB], max_tool_calls=2)) == ["reasoning", *["web_search_call"] * 2, "message"]
    assert kinds(finish(tools=tools, max_tool_calls=4)) == [
        "reasoning",
        *["web_search_call"] * 3,
        "file_search_call",
        "message",
    ]
    assert kinds(finish(tools=tools, tool_choice="none")) == ["reasoning", "message"]
    assert kinds(finish(tools=tools, tool_choice={"type": "file_search"})) == [
        "reasoning",
        "file_search_call",
        "message",
    ]
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "code_interpreter"}]}
    assert "code_interpreter_call" in kinds(finish(tools=tools, tool_choice=allowed))


def test_a_script_says_what_the_tools_find(client: OpenAI, simulator: Running, finish: Finish) -> None:
    page = {"url": "https://example.test/seals", "title": "Seals", "text": "Seals sleep."}
    logo = base64.b64encode(b"\x89PNG").decode()
    simulator.script(
        {
            "then": {
                "text": "Seals sleep. See logo.png.",
                "web_search": [page],
                "file_search": [{"file_id": "file-1", "filename": "census.pdf", "text": "88 seals"}],
                "code_interpreter": {
                    "code": "draw()",
                    "logs": "",
                    "files": [{"name": "logo.png", "base64": logo}],
                },
                "mcp": [
                    {"name": "look", "output": {"state": "paid"}, "approval": False},
                    {"name": "burn", "error": {"type": "http_error", "code": 502, "message": "Bad gateway"}},
                ],
            }
        },
        {"then": {"web_search": False}},
    )
    payload = finish()
    read = checked_response(payload)
    (link,), (file,), (made,) = (
        notes(payload, kind) for kind in ("url_citation", "file_citation", "container_file_citation")
    )
    assert read.output_text[link.start_index : link.end_index] == "Seals sleep."
    assert read.output_text[made.start_index : made.end_index] == "logo.png"
    assert (file.filename, file.index) == ("census.pdf", len(read.output_text))
    content = client.containers.files.content.retrieve(made.file_id, container_id=made.container_id)
    assert content.content == b"\x89PNG"
    calls = [item for item in read.output if item.type == "mcp_call"]
    assert [(one.name, one.status) for one in calls] == [("look", "completed"), ("burn", "failed")]
    assert json.loads(calls[0].output) == {"state": "paid"}
    assert kinds(finish(tools=[WEB])) == ["reasoning", "message"]


def test_json_answers_keep_the_evidence_of_their_tools(finish: Finish) -> None:
    payload = finish(tools=[CODE], text={"format": {"type": "json_object"}})
    assert set(json.loads(checked_response(payload).output_text)) == {"summary", "key_terms"}
    assert len(notes(payload, "container_file_citation")) == 1

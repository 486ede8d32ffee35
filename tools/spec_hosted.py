"""The walk's hosted tools: streamed, approved or denied by a person, and the files that they leave in containers."""

from typing import Any, cast

from openai import OpenAI
from tools.spec_wire import attempt, listen

from backlane.simulator.server import Running

_TEXT = "The gate is green. It was built in 1893. The quay is 312 metres long."
_SERVER = {"type": "mcp", "server_label": "s", "server_url": "https://mcp.example.test"}
_INCLUDED = [
    "web_search_call.action.sources",
    "file_search_call.results",
    "code_interpreter_call.outputs",
]


def hosted_streams(client: OpenAI, simulator: Running) -> None:
    """Each hosted tool in a stream; one that fails, and a server whose tools cannot be listed."""
    create = cast(Any, client.responses.create)
    simulator.profile(queued_seconds=[0, 0], running_seconds=[0, 0])
    trusted = {**_SERVER, "require_approval": "never"}
    for tool, then in (
        ({"type": "web_search"}, {}),
        ({"type": "file_search", "vector_store_ids": ["vs_1"]}, {}),
        ({"type": "code_interpreter", "container": {"type": "auto"}}, {}),
        (trusted, {}),
        ({**_SERVER, "require_approval": "always"}, {}),
        (trusted, {"mcp_error": {"type": "http_error", "code": 502, "message": "Bad gateway"}}),
        (trusted, {"mcp_list_error": "Bad gateway"}),
    ):
        if then:
            simulator.script({"then": then})
        asked = {"tools": [tool], "include": _INCLUDED}
        heard = listen(
            lambda asked=asked: create(model="m", input=_TEXT, background=True, stream=True, **asked)
        )
        client.responses.retrieve(heard[0].response.id, include=cast(Any, _INCLUDED))
    simulator.profile(queued_seconds=[0.1, 0.5], running_seconds=[0.5, 3])


def remote_approvals(client: OpenAI, _: Running) -> None:
    """A remote call that a person allows, and one that a person denies with a reason."""
    create = cast(Any, client.responses.create)
    tools = [{**_SERVER, "require_approval": "always"}]
    for verdict in ({"approve": True}, {"approve": False, "reason": "Not now."}):
        asked = create(model="m", input=_TEXT, tools=tools)
        request = next(item for item in asked.output if item.type == "mcp_approval_request")
        answer = {"type": "mcp_approval_response", "approval_request_id": request.id, **verdict}
        made = create(model="m", previous_response_id=asked.id, input=[answer], tools=tools)
        client.responses.input_items.list(made.id)


def containers(client: OpenAI, simulator: Running) -> None:
    """What code wrote: listed, described, fetched; and the container when it is lost."""
    create = cast(Any, client.responses.create)
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    made = create(model="m", input=_TEXT, tools=[tool])
    name = next(item.container_id for item in made.output if item.type == "code_interpreter_call")
    client.containers.retrieve(name)
    for file in client.containers.files.list(name, limit=1, order="asc"):
        client.containers.files.retrieve(file.id, container_id=name)
        client.containers.files.content.retrieve(file.id, container_id=name)
    simulator.advance(3600)
    attempt(lambda: client.containers.retrieve(name))
    attempt(lambda: client.containers.files.list(name))
    attempt(lambda: client.containers.retrieve("cntr_none"))

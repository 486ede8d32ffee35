"""A broad walk through the provider's API with its official client, against the simulator, recorded from the wire."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import httpx2
import openai
from openai import OpenAI
from tools.spec_judge import Exchange, events_of

from backlane.simulator.server import Running, running_simulator

_TEXT = "The gate is green. It was built in 1893. The quay is long and made of granite."
_SCHEMA = {
    "type": "object",
    "properties": {"summary": {"type": "string"}, "themes": {"type": "array", "items": {"type": "string"}}},
    "required": ["summary", "themes"],
    "additionalProperties": False,
}
_TOOL = {
    "type": "function",
    "name": "look_up",
    "description": "Looks somebody up.",
    "parameters": {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
        "additionalProperties": False,
    },
    "strict": True,
}


def walk() -> tuple[list[Exchange], list[Any]]:
    """Every call that was made, in order, and the bodies of the webhooks that were sent."""
    exchanges: list[Exchange] = []
    hooks: list[Any] = []

    def keep(answer: httpx2.Response) -> None:
        exchanges.append(_exchange(answer))

    async def deliver(_: str, __: Mapping[str, str], body: bytes) -> int | None:
        hooks.append(json.loads(body))
        return 204

    secret = "whsec_c3BlYy1jaGVjay1zZWNyZXQtb2YtMzItYnl0ZXMhISE="
    url = "http://127.0.0.1:9/hooks"
    with running_simulator(seed=5, clock="virtual", webhook_url=url, webhook_secret=secret) as simulator:
        simulator.world.deliver = deliver
        recorded = httpx2.Client(event_hooks={"request": [_read], "response": [keep]})
        with OpenAI(
            api_key="sk-test", base_url=simulator.base_url, max_retries=0, http_client=recorded
        ) as client:
            for step in (
                _responses,
                _answers,
                _errors,
                _streams,
                _files,
                _containers,
                _conversations,
                _endpoints,
            ):
                step(client, simulator)
    return exchanges, hooks


def _try(call: Callable[[], Any]) -> Any:
    """A refusal is an answer too; what the simulator has not got is judged as a refusal."""
    try:
        return call()
    except openai.APIStatusError:
        return None


def _responses(client: OpenAI, simulator: Running) -> None:
    """Each way to end, seen while waiting, working and ended."""
    for status in ("completed", "failed", "incomplete", "cancelled"):
        simulator.script({"then": {"status": status, "queued_seconds": 10, "running_seconds": 10}})
        run = client.responses.create(
            model="m", input=_TEXT, background=True, metadata={"a": "b"}, instructions="Be short."
        )
        for seconds in (0, 11, 11):
            simulator.advance(seconds)
            client.responses.retrieve(run.id)
        client.responses.input_items.list(run.id, limit=1, order="asc")
        _try(lambda run=run: client.responses.cancel(run.id))
        client.responses.delete(run.id)
        _try(lambda run=run: client.responses.retrieve(run.id))
    stopped = client.responses.create(model="m", input=_TEXT, background=True)
    client.responses.cancel(stopped.id)
    windowed = {"completion_window": "2h", "continuation_id": "c"}
    create = cast(Any, client.responses.create)
    simulator.advance(1)
    _try(lambda: create(model="m", input=_TEXT, background=True, background_options=windowed))


def _answers(client: OpenAI, simulator: Running) -> None:
    """The kinds of input and of output items."""
    create = cast(Any, client.responses.create)
    form = {"format": {"type": "json_schema", "name": "digest", "schema": _SCHEMA, "strict": True}}
    create(model="m", input=_TEXT, text=form, service_tier="flex", max_output_tokens=4000)
    create(model="m", input=[{"role": "user", "content": [{"type": "input_text", "text": _TEXT}]}])
    create(model="m", input=_TEXT, reasoning={"effort": "low"}, temperature=0.5, store=False, user="u")
    asked = create(model="m", input=_TEXT, tools=[_TOOL], tool_choice="required")
    call = next((item for item in asked.output if item.type == "function_call"), None)
    if call is not None:
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "found"}
        create(model="m", previous_response_id=asked.id, input=[output], tools=[_TOOL])
    quote = {"quote": "green", "url": "https://example.test/gate", "title": "The gate"}
    simulator.script({"then": {"refusal": "No."}}, {"then": {"text": _TEXT, "citations": [quote]}})
    create(model="m", input=_TEXT)
    create(model="m", input=_TEXT)
    for tool in (
        {"type": "web_search"},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto"}},
        {
            "type": "mcp",
            "server_label": "s",
            "server_url": "https://mcp.example.test",
            "require_approval": "never",
        },
        {
            "type": "mcp",
            "server_label": "s",
            "server_url": "https://mcp.example.test",
            "require_approval": "always",
        },
    ):
        _try(lambda tool=tool: create(model="m", input=_TEXT, tools=[tool]))


def _errors(client: OpenAI, simulator: Running) -> None:
    create = cast(Any, client.responses.create)
    _try(lambda: create(model="m", input=_TEXT, temperature=3))
    _try(lambda: create(model="m", input=_TEXT, previous_response_id="resp_none"))
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        _try(lambda call=call: cast(Any, call)("resp_none"))
    for fault in ("rate_limit", "quota", "server_error", "overloaded", "slow_down"):
        simulator.faults({"fault": fault, "retry_after": "1"} if fault == "rate_limit" else {"fault": fault})
        _try(lambda: create(model="m", input=_TEXT))
    _try(lambda: client.with_options(api_key="sk-bad").responses.retrieve("resp_none"))


def _streams(client: OpenAI, simulator: Running) -> None:
    create = cast(Any, client.responses.create)
    simulator.profile(queued_seconds=[0, 0], running_seconds=[0, 0])
    for more in ({}, {"tools": [_TOOL], "tool_choice": "required"}):
        stream = _try(lambda more=more: create(model="m", input=_TEXT, background=True, stream=True, **more))
        events = list(stream) if stream is not None else []
        if events:
            again = client.responses.retrieve(events[0].response.id, stream=True, starting_after=2)
            list(again)
    simulator.profile(queued_seconds=[0.1, 0.5], running_seconds=[0.5, 3])


def _files(client: OpenAI, _: Running) -> None:
    expiry = cast(Any, {"anchor": "created_at", "seconds": 3600})
    given = ("notes.txt", _TEXT.encode(), "text/plain")
    kept = _try(lambda: client.files.create(file=given, purpose="user_data", expires_after=expiry))
    _try(client.files.list)
    name = kept.id if kept is not None else "file-none"
    _try(lambda: client.files.retrieve(name))
    part = {"type": "input_file", "file_id": name}
    create = cast(Any, client.responses.create)
    _try(lambda: create(model="m", input=[{"role": "user", "content": [part]}]))
    _try(lambda: client.files.delete(name))
    _try(lambda: client.files.retrieve(name))


def _containers(client: OpenAI, simulator: Running) -> None:
    """What code left, page by page, and a container that is not there."""
    files = [{"name": f"part-{number}.csv", "text": "1,2"} for number in range(3)]
    simulator.script({"then": {"code_interpreter": {"files": files}}})
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    ran = cast(Any, client.responses.create)(model="m", input=_TEXT, tools=[tool])
    made = next(item.container_id for item in ran.output if item.type == "code_interpreter_call")
    simulator.advance(60)
    for file in client.containers.files.list(made, limit=2, order="asc"):
        client.containers.files.content.retrieve(file.id, container_id=made)
    _try(lambda: client.containers.files.list("cntr_none"))


def _conversations(client: OpenAI, _: Running) -> None:
    _try(lambda: cast(Any, client.responses).input_tokens.count(model="m", input=_TEXT))
    _try(lambda: client.conversations.retrieve("conv_none"))


def _endpoints(client: OpenAI, _: Running) -> None:
    """Newer than some descriptions; what the file does not have is counted, not judged."""
    made = _try(
        lambda: client.webhooks.create(
            name="n", url="http://127.0.0.1:9/h", event_types=["response.completed"]
        )
    )
    if made is None:
        return
    client.webhooks.retrieve(made.id)
    client.webhooks.list()
    client.webhooks.rotate_secret(made.id, keep_old_secret_active_for_24_hours=True)
    client.webhooks.delete(made.id)


def _read(request: httpx2.Request) -> None:
    """Keep the body of a request, a file's too."""
    request.read()


def _exchange(answer: httpx2.Response) -> Exchange:
    answer.read()
    request = answer.request
    kind = answer.headers.get("content-type", "")
    streamed = kind.startswith("text/event-stream")
    return Exchange(
        request.method,
        request.url.path.removeprefix("/v1"),
        _body(request),
        answer.status_code,
        json.loads(answer.content) if kind.startswith("application/json") and answer.content else None,
        events_of(answer.text) if streamed else (),
    )


def _body(request: httpx2.Request) -> Any:
    kind = request.headers.get("content-type", "")
    if kind.startswith("application/json") and request.content:
        return json.loads(request.content)
    if kind.startswith("multipart/form-data"):
        return _form(request.content, kind.split("boundary=")[1])
    return None


def _form(content: bytes, boundary: str) -> dict[str, Any]:
    """A form's fields as an object: `a[b]` nests, digits are numbers, a file is its text."""
    fields: dict[str, Any] = {}
    for part in content.split(b"--" + boundary.encode())[1:-1]:
        head, _, value = part.strip(b"\r\n").partition(b"\r\n\r\n")
        named = re.search(r'name="([^"]+)"', head.decode())
        assert named is not None
        text = value.decode(errors="replace")
        outer, _, inner = named[1].partition("[")
        read: Any = int(text) if text.isdigit() else text
        if inner:
            fields.setdefault(outer, {})[inner.rstrip("]")] = read
        else:
            fields[outer] = read
    return fields

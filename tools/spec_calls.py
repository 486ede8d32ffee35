"""A broad walk through the provider's API with its official client, against the simulator, recorded from the wire."""

import base64
import json
from collections.abc import Mapping
from typing import Any, cast

import httpx2
from openai import OpenAI
from tools.spec_hosted import containers, hosted_streams, remote_approvals
from tools.spec_judge import Exchange
from tools.spec_streams import ends_of_streams, error_events
from tools.spec_wire import attempt, exchange_of, read_whole

from backlane.simulator.server import Running, running_simulator

# One grey pixel.
_PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
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
        exchanges.append(exchange_of(answer))

    async def deliver(_: str, __: Mapping[str, str], body: bytes) -> int | None:
        hooks.append(json.loads(body))
        return 204

    secret = "whsec_c3BlYy1jaGVjay1zZWNyZXQtb2YtMzItYnl0ZXMhISE="
    url = "http://127.0.0.1:9/hooks"
    with running_simulator(seed=5, clock="virtual", webhook_url=url, webhook_secret=secret) as simulator:
        simulator.world.deliver = deliver
        recorded = httpx2.Client(event_hooks={"request": [read_whole], "response": [keep]})
        with OpenAI(
            api_key="sk-test", base_url=simulator.base_url, max_retries=0, http_client=recorded
        ) as client:
            for step in _STEPS:
                step(client, simulator)
    return exchanges, hooks


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
        attempt(lambda run=run: client.responses.cancel(run.id))
        client.responses.delete(run.id)
        attempt(lambda run=run: client.responses.retrieve(run.id))


def _stopped(client: OpenAI, simulator: Running) -> None:
    """Canceled while it waits, while it works, and once more."""
    for seconds in (0, 11):
        simulator.script({"then": {"queued_seconds": 10, "running_seconds": 10}})
        run = client.responses.create(model="m", input=_TEXT, background=True)
        simulator.advance(seconds)
        client.responses.cancel(run.id)
        client.responses.cancel(run.id)
        client.responses.delete(run.id)


def _windows(client: OpenAI, simulator: Running) -> None:
    """Every completion window, and every tier."""
    create = cast(Any, client.responses.create)
    for window in ("soonest", "2h", "8h"):
        windowed = {"completion_window": window, "continuation_id": "c"}
        run = attempt(
            lambda asked=windowed: create(model="m", input=_TEXT, background=True, background_options=asked)
        )
        simulator.advance(8 * 3600)
        client.responses.retrieve(run.id)
    for tier in ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast"):
        attempt(lambda tier=tier: create(model="m", input=_TEXT, service_tier=tier))


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
        attempt(lambda tool=tool: create(model="m", input=_TEXT, tools=[tool]))


def _follow_ups(client: OpenAI, simulator: Running) -> None:
    """A conversation by reference, of background runs as of others."""
    former = client.responses.create(model="m", input=_TEXT, background=True)
    simulator.advance(60)
    following = client.responses.create(
        model="m", input="And the quay?", previous_response_id=former.id, background=True
    )
    simulator.advance(60)
    client.responses.retrieve(following.id)
    client.responses.input_items.list(following.id)
    client.responses.create(model="m", input="And then?", previous_response_id=following.id)


def _errors(client: OpenAI, simulator: Running) -> None:
    create = cast(Any, client.responses.create)
    attempt(lambda: create(model="m", input=_TEXT, temperature=3))
    attempt(lambda: create(model="m", input=_TEXT, previous_response_id="resp_none"))
    for call in (client.responses.retrieve, client.responses.cancel, client.responses.delete):
        attempt(lambda call=call: cast(Any, call)("resp_none"))
    for fault in ("rate_limit", "quota", "server_error", "overloaded", "slow_down"):
        simulator.faults({"fault": fault, "retry_after": "1"} if fault == "rate_limit" else {"fault": fault})
        attempt(lambda: create(model="m", input=_TEXT))
    attempt(lambda: client.with_options(api_key="sk-bad").responses.retrieve("resp_none"))


def _streams(client: OpenAI, simulator: Running) -> None:
    create = cast(Any, client.responses.create)
    simulator.profile(queued_seconds=[0, 0], running_seconds=[0, 0])
    for more in ({}, {"tools": [_TOOL], "tool_choice": "required"}):
        stream = attempt(
            lambda more=more: create(model="m", input=_TEXT, background=True, stream=True, **more)
        )
        events = list(stream) if stream is not None else []
        if events:
            again = client.responses.retrieve(events[0].response.id, stream=True, starting_after=2)
            list(again)
    simulator.profile(queued_seconds=[0.1, 0.5], running_seconds=[0.5, 3])


def _files(client: OpenAI, _: Running) -> None:
    expiry = cast(Any, {"anchor": "created_at", "seconds": 3600})
    given = ("notes.txt", _TEXT.encode(), "text/plain")
    kept = attempt(lambda: client.files.create(file=given, purpose="user_data", expires_after=expiry))
    attempt(client.files.list)
    name = kept.id if kept is not None else "file-none"
    attempt(lambda: client.files.retrieve(name))
    attempt(lambda: client.files.content(name))
    part = {"type": "input_file", "file_id": name}
    create = cast(Any, client.responses.create)
    attempt(lambda: create(model="m", input=[{"role": "user", "content": [part]}]))
    attempt(lambda: client.files.delete(name))
    attempt(lambda: client.files.retrieve(name))


def _inline(client: OpenAI, _: Running) -> None:
    """A file and a picture in the request itself."""
    given = base64.b64encode(_TEXT.encode()).decode()
    parts = [
        {"type": "input_text", "text": "What is in these?"},
        {"type": "input_file", "filename": "notes.txt", "file_data": f"data:text/plain;base64,{given}"},
        {"type": "input_image", "image_url": f"data:image/png;base64,{_PICTURE}", "detail": "auto"},
    ]
    create = cast(Any, client.responses.create)
    made = create(model="m", input=[{"role": "user", "content": parts}])
    client.responses.input_items.list(made.id)


def _conversations(client: OpenAI, _: Running) -> None:
    attempt(lambda: cast(Any, client.responses).input_tokens.count(model="m", input=_TEXT))
    attempt(lambda: client.conversations.retrieve("conv_none"))


def _endpoints(client: OpenAI, _: Running) -> None:
    """Newer than some descriptions; what the file does not have is counted, not judged."""
    made = attempt(
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


_STEPS = (
    _responses,
    _stopped,
    _windows,
    _answers,
    _follow_ups,
    _errors,
    _streams,
    ends_of_streams,
    error_events,
    hosted_streams,
    remote_approvals,
    containers,
    _files,
    _inline,
    _conversations,
    _endpoints,
)

"""Following a run's stream: with the official client, or frame by frame as it is on the wire."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
from openai import AsyncOpenAI, AsyncStream
from openai.types.responses import ResponseStreamEvent

from backlane.simulator.server import Running
from tests.simulator.conftest import ARTICLE

Events = AsyncStream[ResponseStreamEvent]


def speaker(simulator: Running) -> AsyncOpenAI:
    """The unmodified SDK client; use it as a context manager."""
    return AsyncOpenAI(api_key="sk-test", base_url=simulator.base_url, max_retries=0, timeout=20)


async def begin(client: AsyncOpenAI, **parameters: Any) -> Events:
    """A streaming create, in the background unless told otherwise."""
    given = {"model": "gpt-6-astra", "input": ARTICLE, "background": True} | parameters
    return await client.responses.create(**given, stream=True)


async def begun(client: AsyncOpenAI, simulator: Running, **parameters: Any) -> str:
    """The id of a run in the background that was created with a stream and has ended; nobody follows it."""
    async with await begin(client, **parameters) as stream:
        first = await anext(aiter(stream))
    simulator.advance(100)
    assert first.type == "response.created"
    return first.response.id


async def heard(stream: AsyncIterator[ResponseStreamEvent]) -> list[ResponseStreamEvent]:
    """Everything that still comes."""
    return [event async for event in stream]


def numbers(events: list[ResponseStreamEvent]) -> list[int]:
    return [event.sequence_number for event in events]


def text_of(events: list[ResponseStreamEvent]) -> str:
    """The answer's text, from its deltas alone."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def wire(simulator: Running, run_id: str, **query: Any) -> bytes:
    """The bytes of a stream that is taken up again."""
    reply = httpx2.get(
        f"{simulator.base_url}/responses/{run_id}",
        params={"stream": "true", **query},
        headers={"authorization": "Bearer sk-test"},
    )
    assert reply.headers["content-type"].startswith("text/event-stream"), reply.text
    return reply.content


def payloads(told: bytes) -> list[dict[str, Any]]:
    """The events of a stream's bytes; each frame names the type that its JSON repeats."""
    read: list[dict[str, Any]] = []
    for frame in told.decode().removesuffix("\n\n").split("\n\n"):
        event, data = frame.split("\n")
        read.append(json.loads(data.removeprefix("data: ")))
        assert event == f"event: {read[-1]['type']}"
    return read

"""Job types of the interactive lane for the stories, and what happens in every one of them."""

import asyncio
from typing import Any

from backlane import App, Request
from backlane.core.job import Job
from backlane.service.access import Caller
from tests.conftest import Place
from tests.story.acts import submitted
from tests.story.live_acts import events
from tests.values import Digest, Note

WORDS: dict[str, Any] = {
    "queued_seconds": 0.02,
    "running_seconds": 0.3,
    "text": "Otters rest — float on their backs 🦦 in kelp. " * 6,
}
# Long enough to be met in the middle.
SLOW = {**WORDS, "running_seconds": 6.0}
# Surely not over yet where its connection breaks, on a busy machine too.
BROKEN = {**WORDS, "running_seconds": 2.0}


def _ask(inputs: Note, **more: Any) -> Request:
    return Request(model="gpt-6-luna", instructions="Answer.", input=inputs.text, **more)


def steer_app(app: App | None = None) -> App:
    """The types `chat`, `chat-rebuy`, `chat-draft`, `chat-tools`, `chat-capped`, `chat-json`, `either` and others."""
    app = app or App()
    held = {"lanes": ["interactive"]}

    @app.job("chat", authority="read_only", **held)
    def chat(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("chat-rebuy", authority="read_only", if_unknown="rebuy", **held)
    def chat_rebuy(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("chat-draft", authority="draft", **held)
    def chat_draft(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("chat-short", authority="read_only", useful_for="2s", **held)
    def chat_short(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("chat-json", authority="read_only", **held)
    def chat_json(inputs: Note) -> Request:
        return _ask(inputs, output=Digest)

    @app.job("chat-tools", authority="read_only", **held)
    def chat_tools(inputs: Note) -> Request:
        return _ask(inputs)

    @chat_tools.tool
    async def look_up(name: str) -> str:
        if name == "slowly":
            await asyncio.sleep(0.5)
        return f"{name} is known"

    @app.job("chat-capped", authority="read_only", max_turns=2, **held)
    def chat_capped(inputs: Note) -> Request:
        return _ask(inputs)

    chat_capped.tool(look_up)

    @app.job("either", authority="read_only", lanes=["interactive", "background"])
    def either(inputs: Note) -> Request:
        return _ask(inputs)

    @app.job("other-way-round", authority="read_only", lanes=["background", "interactive"])
    def other_way_round(inputs: Note) -> Request:
        return _ask(inputs)

    return app


# For a service in a process of its own.
steered = steer_app()


async def talking(place: Place, caller: Caller, job: Job, pieces: int = 1) -> list[dict[str, Any]]:
    """The job's events, once so many pieces of the newest text are there."""
    told: list[dict[str, Any]] = []
    for _ in range(1500):
        told = await events(place, caller, job.id)
        kinds = [event["type"] for event in told]
        last = max([at for at, kind in enumerate(kinds) if kind == "output.reset"], default=-1)
        if kinds[last + 1 :].count("output.delta") >= pieces:
            return told
        await asyncio.sleep(0.01)
    raise AssertionError([event["type"] for event in told])


async def chatting(
    place: Place, caller: Caller, type_name: str = "chat", pieces: int = 2, **more: Any
) -> Job:
    """An interactive job in the middle of its answer."""
    job = await submitted(place, caller, type_name, **more)
    await talking(place, caller, job, pieces)
    return job


def bodies(place: Place) -> list[dict[str, Any]]:
    """What each create that was accepted sent, in order."""
    return [dict(run.body) for run in place.simulator.world.runs.values()]

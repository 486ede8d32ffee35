"""A stream in a world that somebody else drives: no sockets, no clock of its own, only `pause` and `advance`."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

import pytest

from backlane.simulator.app import create_simulator
from backlane.simulator.faults import read_fault
from backlane.simulator.world import World
from tests.simulator.following import payloads

BODY = {"model": "m", "input": "The gate is green and wide.", "background": True, "stream": True}


class Driven:
    """A simulator without a network whose time passes only while its streams wait."""

    def __init__(self) -> None:
        self.app = create_simulator(seed=3, clock="virtual")
        self.world: World = self.app.state.world
        self.world.pause = self._pause
        self.pauses: list[float] = []
        self.came_at: list[float] = []

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)
        self.world.advance(seconds)

    async def post(self, body: dict[str, Any]) -> bytes:
        parts: list[bytes] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message.get("body"):
                parts.append(message["body"])
                self.came_at.append(self.world.now())

        scope = {
            "type": "http", "method": "POST", "path": "/v1/responses", "raw_path": b"/v1/responses",
            "root_path": "", "scheme": "http", "query_string": b"", "http_version": "1.1",
            "headers": [(b"authorization", b"Bearer k")], "client": ("127.0.0.1", 1), "server": ("x", 80),
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        try:
            await self.app(scope, receive, send)
        finally:
            self.told = b"".join(parts)
        return self.told


async def test_a_driven_world_passes_exactly_the_runs_own_time() -> None:
    driven = Driven()
    started = driven.world.now()
    events = payloads(await driven.post(BODY))
    run = next(iter(driven.world.runs.values()))
    assert events[-1]["type"] == "response.completed"
    assert driven.came_at == sorted(driven.came_at)
    assert driven.world.now() == pytest.approx(run.ends_at)
    assert sum(driven.pauses) == pytest.approx(run.ends_at - started)


async def test_a_cut_without_a_connection_is_told_to_whoever_calls() -> None:
    driven = Driven()
    driven.world.weather.add(read_fault({"fault": "half_frame", "after": 4}))
    with pytest.raises(ConnectionAbortedError):
        await driven.post(BODY)
    whole, _, half = driven.told.rpartition(b"\n\n")
    assert [one["sequence_number"] for one in payloads(whole)] == [0, 1, 2, 3, 4]
    assert half.startswith(b"event: response.")
    assert driven.world.log[0]["stream_ended"] == "cut"


async def test_a_foreground_run_takes_the_driven_worlds_time() -> None:
    driven = Driven()
    driven.world.script({"then": {"running_seconds": 30}})
    answer = json.loads(await driven.post({"model": "m", "input": "x"}))
    assert (answer["status"], answer["completed_at"] - answer["created_at"]) == ("completed", 30)

"""The provider of the simulated world: the shipped simulator, reached through the official SDK without a network."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import httpx2

from backlane.simulator.app import create_simulator
from backlane.simulator.faults import read_fault
from backlane.simulator.world import World as ProviderWorld
from tests.hostile.corpus import SPEAKABLE
from tests.signing import SECRET
from tests.world.kinds import CLUMSY
from tests.world.kinds_acting import CANARY, WHISPER
from tests.world.streaming import Conversation, Pieces, asks_for_a_stream
from tests.world.turns import Turns
from tests.world.weather import Weather

WEBHOOK_URL = "http://backlane/v1/providers/openai/webhooks"
START = 1_795_000_000_000  # the provider's virtual clock begins at the same moment


class SimulatedProvider:
    """One provider for all processes, with its own clock and truth log."""

    def __init__(self, loop: Turns, seed: int, weather: Weather) -> None:
        self._loop = loop
        self._app = create_simulator(
            seed=seed,
            clock="virtual",
            retention_seconds=weather.retention,
            zdr=weather.zdr,
            cancel_ended=weather.cancel_ended,
            queued_seconds=(0.1, 20.0),
            running_seconds=(1.0, 30.0 if "acts" in weather.doors else 240.0),
            webhook_url=WEBHOOK_URL if "hooks" in weather.doors else None,
            webhook_secret=SECRET,
            **weather.switches,
        )
        self.world: ProviderWorld = self._app.state.world
        clumsy = {
            "tool_calls": [{"name": "measure", "arguments": '{"word": 1}'}, {"name": "fly", "arguments": ""}]
        }
        self.world.script(
            {"match": {"instructions_contains": CLUMSY}, "then": clumsy, "times": weather.misuses}
        )
        # Where things change, a model says things that are meant for somebody.
        words = [text for text in SPEAKABLE if "\0" not in text]  # no database keeps that one
        spoken = random.Random(f"{seed}:words").choice(words) if "changes" in weather.doors else "It sings"
        secret = {"text": f"The {CANARY} sings. {spoken} {CANARY}, and then it sleeps."}
        self.world.script({"match": {"instructions_contains": WHISPER}, "then": secret, "times": None})
        self.world.pause = self._pause
        self._told = 0.0
        self._serving: set[asyncio.Task[Any]] = set()
        self.chance = random.Random(f"{seed}:network")
        self.doubling = random.Random(f"{seed}:doubling")

    def blow(self, faults: list[dict[str, Any]]) -> None:
        """Put these faults in the air."""
        for fault in faults:
            self.world.weather.add(read_fault(fault))

    def calm(self) -> None:
        """Clear sky; whoever looks after the accounts has seen to them."""
        self.world.weather.clear()
        self.world.switches.account = "open"

    def now(self) -> float:
        """The provider's time, brought up to the world's."""
        self.world.advance(self._loop.time() - self._told)
        self._told = self._loop.time()
        return self.world.now()

    async def _pause(self, seconds: float) -> None:
        """A stream waits for its next event in the world's time."""
        await asyncio.sleep(seconds)
        self.now()

    def converse(self, request: httpx2.Request, body: bytes) -> Conversation:
        """Begin to serve a call whose reply may come piece by piece."""
        self.now()
        conversation = Conversation(self._loop, body)
        task = self._loop.create_task(conversation.serve(self._app, _scope(request)))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return conversation

    def serve(self, request: httpx2.Request, body: bytes) -> "asyncio.Task[tuple[int, Any, bytes, bool]]":
        """Begin to serve a call; it goes on whatever becomes of the caller."""
        self.now()
        task = self._loop.create_task(self._answer(request, body))
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        return task

    async def _answer(self, request: httpx2.Request, body: bytes) -> tuple[int, Any, bytes, bool]:
        """Status, headers, bytes, and whether the reply is whole."""
        start: MutableMapping[str, Any] = {}
        parts: list[bytes] = []

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            else:
                parts.append(message.get("body", b""))

        app: Callable[..., Awaitable[None]] = self._app
        try:
            await app(_scope(request), receive, send)
        except ConnectionAbortedError:
            return start.get("status", 0), start.get("headers", []), b"".join(parts), False
        self.now()
        return start["status"], start["headers"], b"".join(parts), True


def _scope(request: httpx2.Request) -> dict[str, Any]:
    path = request.url.path
    return {
        "type": "http",
        "method": request.method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "scheme": "http",
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("simulator", 80),
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }


class Wire(httpx2.AsyncBaseTransport):
    """What stands below the SDK instead of sockets: refusals, delays, lost and cut replies."""

    def __init__(self, process: Any, provider: SimulatedProvider) -> None:
        self._process = process
        self._provider = provider

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """One call on its way to the provider and back."""
        process, provider = self._process, self._provider
        body = b"".join([part async for part in request.stream])  # pyright: ignore
        await process.turn("to the wire")
        if provider.chance.random() < process.world.refusing():
            raise httpx2.ConnectError("refused")
        create = request.method == "POST" and request.url.path == "/v1/responses"
        attempt = _named(body) if create else None
        if attempt is not None:
            process.world.witness.create_arrives(attempt)
            if provider.doubling.random() < process.world.weather_now("create_doubled"):
                process.world.witness.create_doubles(attempt)
                provider.serve(request, body)
        elif request.url.path.startswith("/v1/files"):
            process.world.witness.file_call(request, body)
        if request.url.path.startswith("/v1/responses"):
            process.world.witness.call_arrives(request, attempt)
        if asks_for_a_stream(request, body):
            return await self._streamed(request, body)
        serving = provider.serve(request, body)
        status, headers, content, whole = await asyncio.shield(serving)
        await asyncio.sleep(provider.chance.uniform(0.01, 0.4))
        await process.turn("from the wire")
        if not whole:
            raise httpx2.RemoteProtocolError("the reply was cut") if status else httpx2.ReadError("reset")
        told = [(name.decode(), value.decode()) for name, value in headers]
        return httpx2.Response(status, headers=told, content=content, request=request)

    async def _streamed(self, request: httpx2.Request, body: bytes) -> httpx2.Response:
        """A reply that comes piece by piece; its beginning may be lost too."""
        process, provider = self._process, self._provider
        conversation = provider.converse(request, body)
        process.listens(conversation)
        try:
            head = await asyncio.shield(conversation.head)
            await asyncio.sleep(provider.chance.uniform(0.01, 0.4))
            await process.turn("from the wire")
            if not head:
                raise httpx2.ReadError("reset")
        except BaseException:
            # Whoever gives up before the first piece has hung up too: the provider must not wait for them.
            conversation.leave()
            raise

        def cuts() -> bool:
            return provider.chance.random() < process.world.weather_now("stream_cut")

        told = [(name.decode(), value.decode()) for name, value in head["headers"]]
        stream = Pieces(process, conversation, cuts, request.extensions.get("timeout", {}).get("read"))
        return httpx2.Response(head["status"], headers=told, stream=stream, request=request)


def _named(body: bytes) -> str | None:
    try:
        return json.loads(body)["metadata"]["backlane_attempt"]
    except (ValueError, KeyError, TypeError):
        return None

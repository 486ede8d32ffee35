"""A provider as rude as a test needs it: raw bytes over loopback, one script per connection."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """What it heard, and where it listens."""

    url: str
    requests: list[str] = field(default_factory=list)


def reply(
    status: int, body: Any, headers: dict[str, str] | None = None, *, kind: str = "application/json"
) -> Answer:
    """A whole HTTP reply."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def answer(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        await writer.drain()

    return answer


def cut(body: bytes, promised: int) -> Answer:
    """A reply that promises more than it sends."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {promised}\r\n\r\n".encode()
            + body
        )
        await writer.drain()

    return answer


async def reset(writer: asyncio.StreamWriter) -> None:
    """No word, and the connection is gone."""
    writer.transport.abort()


async def silence(writer: asyncio.StreamWriter) -> None:
    """Nothing at all, for longer than anybody waits."""
    await asyncio.sleep(30)


@contextlib.asynccontextmanager
async def raw_server(*answers: Answer) -> AsyncGenerator[RawServer]:
    """Answer requests in turn; the last answer repeats."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heard.requests.append(head.split(b"\r\n")[0].decode())
            length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            if length:
                await reader.readexactly(int(length[0].split(b":")[1]))
            answer = left.pop(0) if len(left) > 1 else left[0]
            await answer(writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    heard = RawServer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
    try:
        yield heard
    finally:
        server.close()

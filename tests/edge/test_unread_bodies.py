"""Bodies that go on after their answer: it arrives, and the connection ends; a short one costs no connection."""

import asyncio
import contextlib
from urllib.parse import urlsplit

import pytest

from tests.conftest import Place
from tests.story.commands import served

CHUNK = b"1000\r\n" + b" " * 4096 + b"\r\n"


async def asked(url: str, head: str, chunk: bytes) -> tuple[bytes, bool]:
    """What a server said to a request whose body goes on and on, and whether it ended the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
    writer.write(head.encode())

    async def on_and_on() -> bool:
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(chunk)
                await writer.drain()
                await asyncio.sleep(0.002)
        return True

    writing = asyncio.create_task(on_and_on())
    answer = bytearray()
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(4096):
            answer += part
    ended = await asyncio.wait_for(writing, 20)
    writer.close()
    return bytes(answer), ended


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/jobs", "content-type: application/json\r\n"),
        ("/v1/files", "content-type: application/octet-stream\r\n"),
        ("/v1/nowhere", ""),
    ],
)
async def test_a_body_without_end_is_answered_and_cut_off(place: Place, path: str, headers: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}transfer-encoding: chunked\r\n\r\n"
    async with served(place) as url:
        answer, ended = await asked(url, head, CHUNK)
    said, _, _ = answer.partition(b"\r\n\r\n")
    assert said.splitlines()[0].split()[1] in {b"401", b"404"}
    assert b"connection: close" in said.lower()
    assert ended


async def test_a_body_over_the_limit_is_answered_and_cut_off(place: Place) -> None:
    head = "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += f"authorization: Bearer {await place.key()}\r\ntransfer-encoding: chunked\r\n\r\n"
    async with served(place) as url:
        answer, ended = await asked(url, head, CHUNK)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert ended


async def test_a_short_body_that_nobody_read_costs_no_connection(place: Place) -> None:
    request = b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 5000\r\n\r\n" + b" " * 5000
    async with served(place) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        for _ in range(2):
            writer.write(request)
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            length = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split()[1]))
            assert head.startswith(b"HTTP/1.1 401 ")
            assert b"connection: close" not in head.lower()
        writer.close()

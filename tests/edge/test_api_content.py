"""An artifact's bytes over HTTP: read from the store as they are sent, in ranges, never whole in memory."""

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.service.upload import Incoming, upload
from tests.conftest import Place

MEGABYTE = 1_000_000
SIZE = 40 * MEGABYTE
LINE = b"The river stood at two metres and fourteen, the gate was green.\n"


@pytest.fixture
async def large(place: Place) -> str:
    """A file of 40 MB that somebody sent in."""

    async def chunks() -> AsyncIterator[bytes]:
        block = (LINE * (MEGABYTE // len(LINE) + 1))[:MEGABYTE]
        for _ in range(SIZE // MEGABYTE):
            yield block

    row = await upload(place.service.ports, await place.caller(), Incoming("log.txt", None, chunks()))
    return str(row["id"])


class Connection:
    """One request straight at the application, as a server makes it: what was sent, piece by piece."""

    def __init__(self, gone_after: int | None = None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.sizes: list[int] = []
        self.hash = hashlib.sha256()
        self._gone_after = gone_after
        self._asked = False

    async def ask(self, app: Any, path: str, key: str, method: str = "GET", **headers: str) -> "Connection":
        given = {"authorization": f"Bearer {key}", **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "server": ("x", 80),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        await app(scope, self._receive, self._send)
        return self

    async def _receive(self) -> dict[str, Any]:
        if self._asked:
            await asyncio.Event().wait()
        self._asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        if message.get("body"):
            self.sizes.append(len(message["body"]))
            self.hash.update(message["body"])
        if self._gone_after is not None and len(self.sizes) >= self._gone_after:
            raise OSError("the caller hung up")


async def test_a_large_artifact_is_sent_in_pieces_and_never_held_whole(place: Place, large: str) -> None:
    app, key = place.app(), await place.key()
    path = f"/v1/artifacts/{large}/content"
    await Connection().ask(app, path, key, "HEAD")
    tracemalloc.start()
    try:
        got = await Connection().ask(app, path, key)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (got.status, sum(got.sizes), got.headers["content-length"]) == (200, SIZE, str(SIZE))
    assert got.headers["etag"] == f'"{got.hash.hexdigest()}"'
    assert max(got.sizes) <= 262_144
    assert peak < 4 * MEGABYTE


async def test_a_range_of_a_large_artifact_is_that_range_only(place: Place, large: str) -> None:
    app, key = place.app(), await place.key()
    path = f"/v1/artifacts/{large}/content"
    for asked, first, last in (
        ("bytes=0-0", 0, 0), ("bytes=999990-1000009", 999_990, 1_000_009), ("bytes=-500000", SIZE - 500_000, SIZE - 1),
        ("bytes=39999999-99999999", SIZE - 1, SIZE - 1),
    ):  # fmt: skip
        got = await Connection().ask(app, path, key, range=asked)
        assert (got.status, sum(got.sizes)) == (206, last + 1 - first), asked
        assert got.headers["content-range"] == f"bytes {first}-{last}/{SIZE}"
        block = (LINE * (MEGABYTE // len(LINE) + 1))[:MEGABYTE]
        wanted = (block * 2)[first % MEGABYTE : first % MEGABYTE + last + 1 - first]
        assert got.hash.digest() == hashlib.sha256(wanted).digest(), asked
    beyond = await Connection().ask(app, path, key, range=f"bytes={SIZE}-")
    assert (beyond.status, beyond.headers["content-range"], beyond.sizes) == (416, f"bytes */{SIZE}", [])


async def test_head_says_what_get_would_and_sends_nothing(place: Place, large: str) -> None:
    app, key = place.app(), await place.key()
    path = f"/v1/artifacts/{large}/content"
    head = await Connection().ask(app, path, key, "HEAD")
    whole = await Connection().ask(app, path, key)
    del head.headers["request-id"], whole.headers["request-id"]
    assert (head.status, head.sizes, head.headers) == (200, [], whole.headers)
    tag = whole.headers["etag"]
    for given in (tag, f'"x", W/{tag}', "*"):
        for method in ("GET", "HEAD"):
            known = await Connection().ask(app, path, key, method, if_none_match=given)
            assert (known.status, known.sizes, known.headers["etag"]) == (304, [], tag)
    stale = await Connection().ask(app, path, key, range="bytes=0-9", if_range='"other"')
    assert (stale.status, sum(stale.sizes)) == (200, SIZE)


async def test_another_one_s_file_is_not_there_for_head_either(place: Place, large: str) -> None:
    app, path = place.app(), f"/v1/artifacts/{large}/content"
    for method in ("GET", "HEAD"):
        got = await Connection().ask(app, path, await place.key("bob"), method)
        assert got.status == 404


async def test_a_damaged_artifact_sends_no_byte_and_an_open_file_is_let_go(
    place: Place, large: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, key, path = place.app(), await place.key(), f"/v1/artifacts/{large}/content"
    opened: list[Any] = []
    really = place.service.ports.artifacts.open

    async def spied(sha256: str) -> Any:
        opened.append(await really(sha256))
        return opened[-1]

    monkeypatch.setattr(place.service.ports.artifacts, "open", spied)
    with pytest.raises(OSError, match="hung up"):
        await Connection(gone_after=2).ask(app, path, key)
    assert [file.closed for file in opened] == [True]
    [stored] = [
        one for one in Path(place.settings.artifacts_url.removeprefix("file:")).glob("*/*") if one.is_file()
    ]
    stored.chmod(0o600)
    with stored.open("r+b") as file:
        file.seek(SIZE // 2)
        file.write(b"?")
    got = await Connection().ask(app, path, key)
    assert got.status >= 500
    assert sum(got.sizes) < 1000


async def test_a_small_artifact_in_the_database_is_served_alike(place: Place) -> None:
    ana = await place.caller()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"a small file of words"

    row = await upload(place.service.ports, ana, Incoming("note.txt", None, chunks()))
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {await place.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        path = f"/v1/artifacts/{row['id']}/content"
        assert (await http.get(path)).content == b"a small file of words"
        assert (await http.get(path, headers={"Range": "bytes=2-6"})).content == b"small"
        assert (await http.head(path)).headers["content-length"] == "21"

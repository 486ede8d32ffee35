"""Files at the door: taken whole and by what they are, or refused with the reason and nothing kept."""

import io
import json
import os
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.api.unread import LINGER_BYTES
from backlane.core.media import NAME_AT_MOST, label
from backlane.outbound.folder import ArtifactFolder
from tests.conftest import Place
from tests.simulator.made_files import docx, encrypted_pdf, gif, jpeg, pdf, png, webp

PDF = pdf("The gate at the river is green.")
PNG = png(40, 20, "A green gate.")


def office(*parts: tuple[str, str], types: bool = True) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        if types:
            archive.writestr("[Content_Types].xml", "<Types/>")
        for name, content in parts:
            archive.writestr(name, content)
    return made.getvalue()


def lying(archive: bytes) -> bytes:
    """An archive whose listed sizes say that there is little in it."""
    size = (2_000_000).to_bytes(4, "little")
    return archive.replace(size, (20).to_bytes(4, "little"))


WORD = office(("word/document.xml", "<w:document/>"))
SHEET = office(("xl/workbook.xml", "<workbook/>"))
SLIDES = office(("ppt/presentation.xml", "<presentation/>"))
BOMB = office(
    ("word/document.xml", "0" * 2_000_000), *((f"part{n}.xml", "0" * 2_000_000) for n in range(130))
)
OLD = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 99
LYING = lying(office(("word/document.xml", "0" * 2_000_000)))
_OFFICE = "application/vnd.openxmlformats-officedocument."


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx2.AsyncClient]:
    """The API in this process, with ana's key; no worker runs."""
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {await place.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
        yield client


def on_disk(place: Place) -> list[str]:
    root = Path(place.settings.artifacts_url.removeprefix("file:"))
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def kept(place: Place) -> int:
    found = place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql("SELECT count(*) FROM uploads").scalar()
    )
    assert isinstance(found, int)
    return found


TAKEN: list[tuple[str, bytes, str | None, str]] = [
    ("report.pdf", PDF, "application/pdf", "application/pdf"),
    ("report.pdf", PDF, None, "application/pdf"),
    ("unnamed", PDF, "application/octet-stream", "application/pdf"),
    ("a.pdf", b"junk before\n" + PDF, "application/x-www-form-urlencoded", "application/pdf"),
    ("gate.png", PNG, "image/png", "image/png"),
    ("gate.jpg", jpeg(4, 3, "a gate"), "image/jpg", "image/jpeg"),
    ("gate.gif", gif(4, 3, "a gate"), None, "image/gif"),
    ("gate.webp", webp(4, 3), "image/webp", "image/webp"),
    ("a.txt", "Grün ist das Tor.".encode(), "text/plain; charset=utf-8", "text/plain"),
    ("a.csv", b"gate,colour\nriver,green\n", "text/plain", "text/csv"),
    ("a.md", b"# Gate", None, "text/markdown"),
    ("a.json", b'\xef\xbb\xbf{"gate": "green"}', "application/json", "application/json"),
    ("a.html", b"<!doctype html><p>Gate", None, "text/html"),
    ("a.xml", b"<?xml version='1.0'?><gate/>", "text/xml", "application/xml"),
    ("notes", b"The gate is green.", None, "text/plain"),
    ("notes.md", b"A file begins with %PDF-1.7 and ends with %%EOF.", None, "text/markdown"),
    ("header.json", b'{"header":"%PDF-1.4"}', "application/json", "application/json"),
    ("gate.py", b"MAGIC = b'%PDF-1.4'", "text/x-python", "text/plain"),
    ("windows.csv", b"gate,colour\nriver,green\n", "application/vnd.ms-excel", "text/csv"),
    ("gate.py", b"gate = 'green'", "text/x-python", "text/plain"),
    ("a.docx", WORD, None, _OFFICE + "wordprocessingml.document"),
    ("a.xlsx", SHEET, _OFFICE + "spreadsheetml.sheet", _OFFICE + "spreadsheetml.sheet"),
    ("a.pptx", SLIDES, "application/octet-stream", _OFFICE + "presentationml.presentation"),
]


@pytest.mark.parametrize(("name", "data", "claim", "media_type"), TAKEN)
async def test_a_file_is_taken_for_what_its_bytes_are(
    place: Place, http: httpx2.AsyncClient, name: str, data: bytes, claim: str | None, media_type: str
) -> None:
    headers = {"content-type": claim} if claim else {}
    answer = await http.post(f"/v1/files?name={name}", content=data, headers=headers)
    assert answer.status_code == 201, answer.text
    view = answer.json()
    assert view["id"].startswith("art_")
    assert answer.headers["location"] == f"/v1/artifacts/{view['id']}"
    assert (view["kind"], view["name"], view["job"]) == ("input", name, None)
    assert (view["media_type"], view["bytes"]) == (media_type, len(data))
    assert (await http.get(f"/v1/artifacts/{view['id']}")).json() == view
    content = await http.get(f"/v1/artifacts/{view['id']}/content")
    assert (content.content, content.headers["etag"]) == (data, f'"{view["sha256"]}"')
    assert not [name for name in on_disk(place) if name.startswith(".half-")]


Refused = tuple[str, str, bytes, str | None, int, str]
REFUSED: list[Refused] = [
    ("empty", "a.txt", b"", "text/plain", 422, "is empty"),
    ("an unknown kind", "a.bin", b"\x01\x02\xff\xfe", None, 415, "unknown kind"),
    ("a program", "a.exe", b"MZ\x90\x00\x03", "application/x-msdownload", 415, "not taken"),
    ("a drawing that runs scripts", "a.svg", b"<svg/>", "image/svg+xml", 415, "not taken"),
    ("a PDF that is a picture", "a.pdf", PNG, "application/pdf", 415, "bytes are image/png"),
    ("a picture that is a PDF", "a.png", PDF, None, 415, "bytes are application/pdf"),
    ("a PDF that is a text", "a.pdf", b"green", None, 415, "text/plain"),
    ("a text that is a PDF", "a.txt", PDF, "text/plain", 415, "application/pdf"),
    ("a text that begins as a PDF", "notes.md", b"%PDF-1.7 is how one begins", None, 415, "application/pdf"),
    ("an old table named as a text", "a.csv", OLD, "application/vnd.ms-excel", 415, "old or an encrypted"),
    ("a table that is none", "a.xls", b"gate,colour\n", "application/vnd.ms-excel", 415, "not taken"),
    ("an encrypted PDF", "a.pdf", encrypted_pdf(), None, 422, "encrypted PDF"),
    ("a PDF cut in two", "a.pdf", PDF[: len(PDF) // 2], None, 422, "broken PDF"),
    ("a PDF of nothing", "a.pdf", b"%PDF-1.7\nnothing\n%%EOF", None, 422, "broken PDF"),
    ("a PDF without pages", "a.pdf", PDF.replace(b"[3 0 R]", b"[     ]"), None, 422, "without pages"),
    ("a text with NUL", "a.txt", b"green\x00gate", "text/plain", 422, "NUL"),
    ("a text in latin-1", "a.csv", "grün".encode("latin-1"), None, 422, "UTF-8"),
    ("a text cut inside a letter", "a.txt", "grün".encode()[:3], "text/plain", 422, "UTF-8"),
    ("JSON that is none", "a.json", b"{green", None, 415, "JSON"),
    ("a page without tags", "a.html", b"green", "text/html", 415, "no tags"),
    ("an archive", "a.zip", office(("gate.txt", "green")), None, 415, "Archives"),
    ("a document without its list of types", "a.docx", docx("Green."), None, 415, "Archives"),
    ("a broken document", "a.docx", WORD[:-30], None, 422, "broken archive"),
    ("a document that unpacks to too much", "a.docx", BOMB, None, 422, "unpacks to more"),
    ("a document that lies about its sizes", "a.docx", LYING, None, 422, "broken archive"),
    ("an old or locked document", "a.doc", OLD, None, 415, "encrypted"),
    ("a picture of no height", "a.png", png(100_000, 0), None, 422, "no size"),
    ("a huge picture", "a.gif", gif(60_000, 60_000, ""), None, 422, "million pixels"),
    ("a cut picture", "a.png", PNG[:14], None, 422, "broken image"),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=[row[0] for row in REFUSED])
async def test_a_wrong_file_is_refused_with_the_reason_and_nothing_is_kept(
    place: Place, http: httpx2.AsyncClient, row: Refused
) -> None:
    _, name, data, claim, status, words = row
    headers = {"content-type": claim} if claim else {}
    answer = await http.post(f"/v1/files?name={name}", content=data, headers=headers)
    problem = answer.json()
    assert answer.status_code == status, problem
    assert words in problem["detail"], problem
    assert problem["errors"][0]["pointer"] == "/file"
    assert (kept(place), on_disk(place)) == (0, [])


async def test_the_same_content_twice_is_two_files_and_one_store_of_bytes(
    place: Place, http: httpx2.AsyncClient
) -> None:
    data = b"The gate is green.\n" * 5_000
    first, second = [(await http.post("/v1/files?name=a.txt", content=data)).json() for _ in range(2)]
    assert first["id"] != second["id"]
    assert on_disk(place) == [first["sha256"]]


NAMES = [
    ('attachment; filename="gate.txt"', "gate.txt"),
    ("attachment; filename=gate.txt", "gate.txt"),
    ("attachment; filename*=UTF-8''gr%C3%BCn.txt; filename=\"x.txt\"", "grün.txt"),
    ('attachment; filename="../../etc/passwd"', "passwd"),
    ('attachment; filename="C:\\\\temp\\\\gate.txt"', "gate.txt"),
    ("attachment; filename*=UTF-8''gate%0d%0aSet-Cookie%3a%20a.txt", "gateSet-Cookie: a.txt"),
    ("attachment; filename*=UTF-8''%e2%80%aetxt.exe", "txt.exe"),
    ("attachment", "file.txt"),
    ('attachment; filename=".."', "file.txt"),
]


@pytest.mark.parametrize(("disposition", "name"), NAMES)
async def test_a_name_is_a_label_whatever_it_was(
    http: httpx2.AsyncClient, disposition: str, name: str
) -> None:
    headers = {"content-disposition": disposition, "content-type": "text/plain"}
    answer = await http.post("/v1/files", content=b"green", headers=headers)
    assert answer.json()["name"] == name
    got = await http.get(f"/v1/artifacts/{answer.json()['id']}/content")
    assert "\n" not in got.headers["content-disposition"]


def test_a_long_name_keeps_its_ending() -> None:
    assert label("g" * 500 + ".pdf", "application/pdf") == "g" * (NAME_AT_MOST - 4) + ".pdf"
    assert len(label("g" * 500, "application/pdf")) == NAME_AT_MOST


async def test_a_form_with_one_file_is_taken(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/files", files={"file": ("grün.pdf", PDF, "application/pdf")})
    assert answer.status_code == 201, answer.text
    assert (answer.json()["name"], answer.json()["bytes"]) == ("grün.pdf", len(PDF))
    named = await http.post("/v1/files?name=b.pdf", files={"file": ("a.pdf", PDF)})
    assert named.json()["name"] == "b.pdf"


def form(*parts: str, end: str = "--x--\r\n") -> bytes:
    return "".join(f"--x\r\n{part}\r\n" for part in parts).encode() + end.encode()


_ONE = 'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ngreen'
_KIND = "multipart/form-data; boundary=x"
FORMS: list[tuple[str, bytes, str]] = [
    ("two files", form(_ONE, _ONE), _KIND),
    ("no file name", form('Content-Disposition: form-data; name="file"\r\n\r\ngreen'), _KIND),
    ("no part", form(), _KIND),
    ("cut short", form(_ONE, end=""), _KIND),
    ("no boundary", form(_ONE), "multipart/form-data"),
    ("another boundary", form(_ONE), "multipart/form-data; boundary=y"),
    ("no form", b"green", _KIND),
    ("nothing", b"", _KIND),
]  # fmt: skip


@pytest.mark.parametrize(("case", "body", "kind"), FORMS, ids=[row[0] for row in FORMS])
async def test_any_other_form_is_refused(
    place: Place, http: httpx2.AsyncClient, case: str, body: bytes, kind: str
) -> None:
    answer = await http.post("/v1/files", content=body, headers={"content-type": kind})
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed"), answer.text
    assert (kept(place), on_disk(place)) == (0, [])


async def endless(pieces: list[int], size: int = 250_000) -> AsyncIterator[bytes]:
    while len(pieces) * size < 400_000_000:
        pieces.append(size)
        yield b"g" * size


async def test_a_huge_body_is_refused_while_it_is_read_and_fills_no_memory(
    place: Place, http: httpx2.AsyncClient
) -> None:
    scope, pieces = _scope(place, await place.key()), endless([])
    sent: list[Any] = []
    read = 0

    async def receive() -> Any:
        nonlocal read
        chunk = await anext(pieces)
        read += len(chunk)
        return {"type": "http.request", "body": chunk, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    tracemalloc.start()
    try:
        await place.app()(scope, receive, send)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    problem = json.loads(sent[1]["body"])
    assert (sent[0]["status"], problem["code"]) == (413, "too-large")
    assert "50000000" in problem["detail"]
    assert read <= 50_250_000
    assert peak < 20_000_000
    assert (kept(place), on_disk(place)) == (0, [])


def _scope(place: Place, key: str, length: str | None = None) -> dict[str, Any]:
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"text/plain")]
    if length is not None:
        headers.append((b"content-length", length.encode()))
    return {
        "type": "http",
        "method": "POST",
        "path": "/v1/files",
        "raw_path": b"/v1/files",
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "scheme": "http",
        "http_version": "1.1",
    }


@pytest.mark.parametrize("ends", ["disconnect", "cut"])
async def test_a_sender_that_leaves_before_the_end_leaves_nothing(place: Place, ends: str) -> None:
    messages = iter(
        [
            {"type": "http.request", "body": b"green " * 100_000, "more_body": True},
            {"type": "http.disconnect"},
        ]
    )
    sent: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        sent.append(message)

    length = "999999" if ends == "cut" else None
    await place.app()(_scope(place, await place.key(), length), receive, send)
    assert sent[0]["status"] == 400
    assert (kept(place), on_disk(place)) == (0, [])


async def test_a_length_over_the_limit_is_believed_before_the_file_is_read(
    place: Place, http: httpx2.AsyncClient
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    read = 0
    answer = await http.post("/v1/files", content=endless(), headers={"content-length": "50000001"})
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")
    # What comes beside the answer is let pass for a moment, and looked at by nobody.
    assert read <= LINGER_BYTES + 1000


async def test_who_may_upload_and_who_may_read(place: Place) -> None:
    transport = httpx2.ASGITransport(app=place.app())
    keys = {role: await place.key(role, role) for role in ("submitter", "reviewer", "support", "operator")}
    keys["other"] = await place.key("sam")
    keys["elsewhere"] = await place.key("eve", "admin", "another")
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:

        async def ask(who: str, method: str, path: str, **more: Any) -> httpx2.Response:
            headers = {"Authorization": f"Bearer {keys[who]}"}
            return await client.request(method, path, headers=headers, **more)

        made = await ask("submitter", "POST", "/v1/files?name=a.txt", content=b"green")
        path = f"/v1/artifacts/{made.json()['id']}"
        assert (await ask("reviewer", "POST", "/v1/files", content=b"green")).status_code == 403
        assert (await ask("support", "POST", "/v1/files", content=b"green")).status_code == 403
        unknown = await ask("other", "GET", "/v1/artifacts/art_0000000000000000000000000a")
        for who in ("other", "reviewer", "elsewhere"):
            for tail in ("", "/content"):
                foreign = await ask(who, "GET", path + tail)
                assert (foreign.status_code, foreign.content) == (404, unknown.content), who
        assert (await ask("operator", "GET", path + "/content")).content == b"green"
        assert (await ask("support", "GET", path)).status_code == 200
        assert (await ask("support", "GET", path + "/content")).status_code == 403
        assert (await ask("support", "GET", path + "/content?reason=asked")).content == b"green"
    lines = place.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql(
            "SELECT actor FROM audit WHERE action = 'content.read' ORDER BY seq"
        ).all()
    )
    assert [line[0] for line in lines] == ["operator", "support"]


async def test_half_files_of_dead_processes_are_swept_at_a_start_and_live_ones_stay(
    place: Place, tmp_path: Path
) -> None:
    root = Path(place.settings.artifacts_url.removeprefix("file:"))
    (root / "ab").mkdir()
    old, inner, live, whole = (
        root / ".half-old",
        root / "ab" / ".half-in",
        root / ".half-new",
        root / "ab" / "f",
    )
    for path in (old, inner, live, whole):
        path.write_bytes(b"x")
    for path in (old, inner, whole):
        os.utime(path, (1_000, 1_000))
    assert ArtifactFolder(root).sweep(2_000) == 2
    assert (old.exists(), inner.exists(), live.exists(), whole.exists()) == (False, False, True, True)

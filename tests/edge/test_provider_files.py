"""What the provider's answers about files mean, over real sockets; one call is one request."""

from io import BytesIO
from typing import Any

import pytest

from backlane.core.outcome import NotSent, Refused, Unknown, When
from backlane.core.provider_file import FileUpload, Missing, Stored
from tests.edge.raw_server import Answer, cut, raw_server, reply, reset
from tests.edge.test_provider_openai import adapter, error

FILE = {
    "id": "file-1",
    "object": "file",
    "filename": "pfile_1.pdf",
    "created_at": 1_795_000_000,
    "expires_at": 1_795_600_000,
}
GARBLED = Unknown("garbled", "the provider's reply names no file")
STORED = Stored("file-1", 1_795_600_000_000)


def upload(content: bytes = b"green") -> FileUpload:
    return FileUpload(
        account="default",
        filename="pfile_1.pdf",
        media_type="application/pdf",
        content=BytesIO(content),
        lifetime=3600,
        timeout=5_000,
    )


async def told(call: str, *answers: Answer, given: tuple[Any, ...]) -> tuple[Any, list[str]]:
    async with raw_server(*answers) as server:
        provider = adapter(server.url)
        outcome = await getattr(provider, call)(*given)
        await provider.close()
        return outcome, server.requests


UPLOADS: list[tuple[str, Answer, Any]] = [
    ("taken", reply(200, FILE), STORED),
    ("without an end", reply(200, {**FILE, "expires_at": None}), Stored("file-1", None)),
    ("with an absurd end", reply(200, {**FILE, "expires_at": "soon"}), Stored("file-1", None)),
    ("no id", reply(200, {"object": "file"}), GARBLED),
    ("an id that is a path", reply(200, {**FILE, "id": "../x"}), GARBLED),
    ("a page", reply(200, b"<html>", kind="text/html"), GARBLED),
    ("limited", reply(429, error("rate_limit_exceeded")), Refused(When.LATER, "rate_limit_exceeded", "No.")),
    ("no right", reply(403, error("no")), Refused(When.INCIDENT, "no", "No.")),
    ("too large", reply(413, error(None)), Refused(When.NEVER, "request_refused", "HTTP 413: No.")),
]  # fmt: skip


@pytest.mark.parametrize(("case", "answer", "outcome"), UPLOADS, ids=[row[0] for row in UPLOADS])
async def test_what_an_upload_answers(case: str, answer: Answer, outcome: Any) -> None:
    found, requests = await told("upload_file", answer, given=(upload(),))
    assert found == outcome
    assert requests == ["POST /v1/files HTTP/1.1"]


@pytest.mark.parametrize(
    "answer", [reset, cut(b'{"id": "file-1"', 400), reply(500, error(None)), reply(409, error(None))]
)
async def test_an_upload_without_a_clear_answer_is_unknown_and_is_not_repeated(answer: Answer) -> None:
    found, requests = await told("upload_file", answer, given=(upload(b"g" * 300_000),))
    assert isinstance(found, Unknown)
    assert len(requests) == 1


async def test_an_upload_that_never_connected_was_not_sent() -> None:
    provider = adapter("http://127.0.0.1:9/v1")
    assert isinstance(await provider.upload_file(upload()), NotSent)
    await provider.close()


def page(*rows: dict[str, Any], more: bool | None = None) -> Answer:
    return reply(200, {"object": "list", "data": list(rows), **({} if more is None else {"has_more": more})})


def other(number: int, created_at: int = 1_795_000_000) -> dict[str, Any]:
    return {**FILE, "id": f"file-o{number}", "filename": "x", "created_at": created_at}


SINCE = 1_795_000_000_000
FOUND: list[tuple[str, list[Answer], Any, int]] = [
    ("at once", [page(other(1), FILE, more=True)], STORED, 1),
    ("on a later page", [page(other(1), more=True), page(other(2), FILE, more=False)], STORED, 2),
    ("not there", [page(other(1), more=False)], Missing(), 1),
    ("nothing at all", [page()], Missing(), 1),
    ("only older ones", [page(other(1, 1_794_000_000), more=True)], Missing(), 1),
    ("an end that is not told", [page(other(1)), page()], Missing(), 2),
    (
        "no list",
        [reply(200, {"data": 5})],
        Unknown("garbled", "the provider's list of files cannot be read"),
        1,
    ),
    ("odd rows", [page({"filename": 5}, {"id": "file-2"}, more=False)], Missing(), 1),
    ("404", [reply(404, error(None))], Unknown("http_404", "No."), 1),
    ("limited", [reply(429, error("slow"))], Refused(When.LATER, "slow", "No."), 1),
]


@pytest.mark.parametrize(("case", "answers", "outcome", "asked"), FOUND, ids=[row[0] for row in FOUND])
async def test_a_file_is_found_by_its_name_among_the_newest(
    case: str, answers: list[Answer], outcome: Any, asked: int
) -> None:
    found, requests = await told("find_file", *answers, given=("default", "pfile_1.pdf", SINCE))
    assert found == outcome
    assert len(requests) == asked
    assert "purpose=user_data&order=desc" in requests[0]
    assert all("after=file-o1" in request for request in requests[1:])


async def test_a_list_that_never_ends_is_left() -> None:
    found, requests = await told(
        "find_file", page(other(1), more=True), given=("default", "pfile_1.pdf", SINCE)
    )
    assert isinstance(found, Unknown)
    assert len(requests) == 50


DELETES: list[tuple[Answer, Any]] = [
    (reply(200, {"id": "file-1", "deleted": True}), Missing()),
    (reply(404, error(None)), Missing()),
    (reply(503, error(None)), Unknown("http_503", "No.")),
    (reply(404, b"<html>", kind="text/html"), Unknown("http_404", "the provider answered 404")),
    (reply(401, error("invalid_api_key")), Refused(When.INCIDENT, "invalid_api_key", "No.")),
]


@pytest.mark.parametrize(("answer", "outcome"), DELETES)
async def test_what_a_delete_answers(answer: Answer, outcome: Any) -> None:
    found, requests = await told("delete_file", answer, given=("default", "file-1"))
    assert found == outcome
    assert requests == ["DELETE /v1/files/file-1 HTTP/1.1"]

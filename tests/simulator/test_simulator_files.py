"""Files: uploaded, listed, gone, met by faults, and read for what is really in them."""

import hashlib
from collections.abc import Callable
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types import FileDeleted, FileObject

from backlane.simulator.server import Running
from tests.simulator.made_files import data_url, docx, encrypted_pdf, gif, jpeg, pdf, png, webp
from tests.simulator.provider_strictness import checked, checked_response

Finish = Callable[..., dict[str, Any]]
LINE = "The gate of Lindenau was painted green in 1911."
TEXTS = {
    "pdf": pdf(LINE),
    "csv": f"year,what\n1911,{LINE}\n".encode(),
    "txt": LINE.encode(),
    "md": f"# Gate\n\n{LINE}".encode(),
    "json": f'{{"told": "{LINE}"}}'.encode(),
    "html": f"<!doctype html><style>p {{color: red}}</style><p>{LINE}</p>".encode(),
    "docx": docx(LINE),
}
PICTURES = {
    "png": png(640, 480, "a title", "packed", LINE),
    "packed.png": png(640, 480, "a title", LINE),
    "jpeg": jpeg(640, 480, LINE),
    "gif": gif(640, 480, LINE),
}


def upload(client: OpenAI, data: bytes, name: str = "gate.txt", **more: Any) -> Any:
    return client.files.create(file=(name, data), purpose=more.pop("purpose", "user_data"), **more)


def asked(part: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [part, {"type": "input_text", "text": "Tell me about it."}]}]


def inline(data: bytes, name: str) -> dict[str, Any]:
    return {"type": "input_file", "filename": name, "file_data": data_url(data, "application/octet-stream")}


def test_a_file_lives_until_it_is_deleted(client: OpenAI, simulator: Running) -> None:
    raw = client.files.with_raw_response.create(file=("gate.txt", b"\r\nGreen\r\n--"), purpose="user_data")
    made: FileObject = checked(FileObject, raw.http_response.json())
    assert (made.filename, made.bytes, made.expires_at) == ("gate.txt", 11, None)
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == b"\r\nGreen\r\n--"
    gone = client.files.with_raw_response.delete(made.id)
    assert checked(FileDeleted, gone.http_response.json()).deleted
    for call in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError, match=f"No such File object: {made.id}"):
            call(made.id)
    calls = [line["call"] for line in simulator.log()[:4]]
    assert calls == ["file_upload", "file_retrieve", "file_content", "file_delete"]
    assert simulator.log()[0]["sha256"] == hashlib.sha256(b"\r\nGreen\r\n--").hexdigest()


def test_a_file_expires_by_the_clock(client: OpenAI, simulator: Running) -> None:
    made = upload(client, b"Green.", expires_after={"anchor": "created_at", "seconds": 3600})
    batch = upload(client, b"{}", "in.jsonl", purpose="batch")
    assert (made.expires_at - made.created_at, batch.expires_at - batch.created_at) == (3600, 30 * 86_400)
    simulator.advance(3599)
    assert client.files.retrieve(made.id).id == made.id
    simulator.advance(1)
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)
    assert [one.id for one in client.files.list()] == [batch.id]


def test_files_are_listed_in_pages(client: OpenAI) -> None:
    made = [upload(client, b"one"), upload(client, b"two", purpose="vision"), upload(client, b"three")]
    page = client.files.list(limit=2)
    assert ([one.id for one in page.data], page.has_more) == ([made[2].id, made[1].id], True)
    assert [one.id for one in client.files.list(limit=1, order="asc")] == [one.id for one in made]
    assert [one.id for one in client.files.list(purpose="vision")] == [made[1].id]


@pytest.mark.parametrize(
    ("data", "more", "status", "told"),
    [
        (b"x", {"purpose": "fun"}, 400, "is not one of"),
        (b"", {}, 400, "File is empty"),
        (b"x" * 101, {}, 413, "maximum size of 100 bytes"),
        (b"x", {"expires_after": {"anchor": "created_at", "seconds": 60}}, 400, "3600 to 2592000"),
        (b"x", {"expires_after": {"anchor": "now", "seconds": 3600}}, 400, "expected 'created_at'"),
    ],
)
def test_a_wrong_upload_is_refused(
    client: OpenAI, simulator: Running, data: bytes, more: dict[str, Any], status: int, told: str
) -> None:
    simulator.profile(file_bytes=100)
    with pytest.raises(openai.APIStatusError, match=told) as refused:
        upload(client, data, **more)
    assert refused.value.status_code == status
    assert simulator.stats()["files"]["uploads"] == 0


def test_stats_tell_which_content_came_twice(client: OpenAI, simulator: Running) -> None:
    first, _, _ = upload(client, b"same"), upload(client, b"same", "b.txt"), upload(client, b"other")
    client.files.delete(first.id)
    told = simulator.stats()["files"]
    assert (told["uploads"], told["deletes"], told["alive"], told["duplicates"]) == (3, 1, 2, 1)
    assert told["by_sha256"][hashlib.sha256(b"same").hexdigest()] == 2


def test_faults_meet_calls_on_files_by_name(client: OpenAI, simulator: Running) -> None:
    simulator.faults(
        {"fault": "cut_reply"},
        {"fault": "lose_reply", "call": "file_upload"},
        {"fault": "lose_reply", "call": "file_upload", "accept": False},
        {"fault": "rate_limit", "call": "file_upload"},
        {"fault": "server_error", "call": "file_upload", "accept": True},
        {"fault": "status", "call": "file_delete", "status": 503},
        {"fault": "gone", "call": "file_retrieve"},
    )
    wanted = (
        openai.APIConnectionError,
        openai.APIConnectionError,
        openai.RateLimitError,
        openai.InternalServerError,
    )
    for kind in wanted:
        with pytest.raises(kind):
            upload(client, b"Green.")
    assert simulator.stats()["files"]["uploads"] == 2
    made = upload(client, b"Green.")
    with pytest.raises(openai.InternalServerError):
        client.files.delete(made.id)
    with pytest.raises(openai.NotFoundError, match=f"No such object: {made.id}"):
        client.files.retrieve(made.id)
    assert client.files.retrieve(made.id).id == made.id
    outcomes = [line["outcome"] for line in simulator.log()]
    assert outcomes == [
        "answered",
        "dropped",
        "refused",
        "answered",
        "answered",
        "refused",
        "refused",
        "answered",
    ]


@pytest.mark.parametrize("kind", TEXTS)
def test_a_file_is_read_and_quoted_inline_and_by_its_id(
    client: OpenAI, simulator: Running, finish: Finish, kind: str
) -> None:
    data, name = TEXTS[kind], f"gate.{kind}"
    by_data = finish(input=asked(inline(data, name)))
    assert LINE in checked_response(by_data).output_text
    made = upload(client, data, name)
    by_id = checked_response(finish(input=asked({"type": "input_file", "file_id": made.id})))
    assert LINE in by_id.output_text
    note = next(one for one in by_id.output[-1].content[0].annotations if one.type == "file_citation")
    assert (note.file_id, note.filename) == (made.id, name)
    told = [line["files"] for line in simulator.log() if line["call"] == "create"]
    sha256 = hashlib.sha256(data).hexdigest()
    assert [(one["how"], one["sha256"], one["bytes"]) for (one,) in told] == [
        ("inline", sha256, len(data)),
        ("file_id", sha256, len(data)),
    ]
    assert "color" not in by_id.output_text


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_is_read_for_its_size_and_texts(client: OpenAI, finish: Finish, kind: str) -> None:
    data = PICTURES[kind]
    made = upload(client, data, f"gate.{kind}", purpose="vision")
    for part in ({"image_url": data_url(data, "image/any")}, {"file_id": made.id}):
        text = checked_response(
            finish(input=asked({"type": "input_image", "detail": "auto", **part}))
        ).output_text
        assert "640 by 480 pixels" in text
        assert LINE in text


def test_a_webp_is_told_by_its_size(finish: Finish) -> None:
    part = {"type": "input_image", "detail": "auto", "image_url": data_url(webp(800, 600), "image/webp")}
    assert "800 by 600 pixels" in checked_response(finish(input=asked(part))).output_text


def test_a_link_is_accepted_and_not_followed(simulator: Running, finish: Finish) -> None:
    finish(input=asked({"type": "input_file", "file_url": "https://example.test/gate.pdf"}))
    assert simulator.log()[0]["files"][0]["how"] == "url"


@pytest.mark.parametrize("state", ["unknown", "deleted", "expired"])
def test_a_file_that_is_not_there_is_named_in_the_refusal(
    client: OpenAI, simulator: Running, state: str
) -> None:
    file_id = "file-unknown"
    if state != "unknown":
        file_id = upload(client, b"Green.", expires_after={"anchor": "created_at", "seconds": 3600}).id
    if state == "deleted":
        client.files.delete(file_id)
    simulator.advance(3600)
    with pytest.raises(openai.BadRequestError, match=f"The file '{file_id}' was not found") as refused:
        client.responses.create(model="m", input=asked({"type": "input_file", "file_id": file_id}))
    assert refused.value.param == "input[0].content[0].file_id"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (encrypted_pdf(), "it is encrypted"),
        (b"%PDF-1.7 broken", "it is broken"),
        (b"\xff\xfe\x00\x01binary", "of a kind that cannot be read"),
        (b"PK\x03\x04 no archive", "of a kind that cannot be read"),
        (b"text\x00text", "of a kind that cannot be read"),
    ],
)
def test_a_file_nobody_can_read_refuses_the_create_or_fails_the_run(
    client: OpenAI, simulator: Running, finish: Finish, data: bytes, told: str
) -> None:
    given = asked(inline(data, "locked.pdf"))
    with pytest.raises(openai.BadRequestError, match=rf"'locked.pdf' cannot be read.*{told}"):
        client.responses.create(model="m", input=given)
    simulator.profile(unreadable_files="fail")
    read = checked_response(finish(input=given))
    assert (read.status, read.error.code) == ("failed", "invalid_prompt")
    assert told in read.error.message


def test_a_picture_that_is_none_is_refused(client: OpenAI, simulator: Running) -> None:
    part = {"type": "input_image", "detail": "auto"}
    for link, code in (
        (data_url(b"%PDF", "image/png"), "invalid_image_format"),
        ("data:image/png;base64,", "empty_image_file"),
        ("data:image/png;base64,===", "invalid_base64_image"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model="m", input=asked({**part, "image_url": link}))
        assert refused.value.code == code
    simulator.profile(input_file_bytes=100)
    with pytest.raises(openai.BadRequestError, match="may have 100 bytes together"):
        client.responses.create(model="m", input=asked(inline(b"x" * 101, "long.txt")))


def test_a_run_may_fail_over_a_file_although_it_was_accepted(simulator: Running, finish: Finish) -> None:
    simulator.faults({"fault": "file_unreadable", "code": "image_too_small"})
    read = checked_response(finish(input=asked(inline(b"Green.", "gate.txt"))))
    assert (read.status, read.error.code) == ("failed", "image_too_small")


def test_inputs_may_be_kept_from_being_downloaded(client: OpenAI, simulator: Running) -> None:
    made = upload(client, b"Green.")
    simulator.profile(download_inputs=False)
    with pytest.raises(openai.BadRequestError, match="Not allowed to download files of purpose: user_data"):
        client.files.content(made.id)

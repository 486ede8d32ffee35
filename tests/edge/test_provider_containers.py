"""What a container lists, page by page, and what each refusal to list it means."""

from typing import Any

import pytest

from backlane.core.outcome import CitedFile, ContainerFile, FileList, NoList, Unknown
from tests.edge.raw_server import Answer, raw_server, reply
from tests.edge.test_provider_openai import adapter, error


async def listed(*answers: Answer) -> tuple[Any, list[str]]:
    async with raw_server(*answers) as server:
        provider = adapter(server.url)
        outcome = await provider.container_files("default", "cntr_1/..")
        await provider.close()
        return outcome, server.requests


def row(number: int, **more: Any) -> dict[str, Any]:
    known = {"id": f"cfile_{number}", "path": f"/mnt/data/{number}.csv", "source": "assistant"}
    return {"object": "container.file", "created_at": 1_700_000_000, "bytes": 4, **known, **more}


def page(first: int, last: int, has_more: Any) -> Answer:
    rows = [row(number) for number in range(first, last)]
    return reply(200, {"object": "list", "data": rows, "has_more": has_more})


async def test_a_container_is_listed_to_its_end() -> None:
    outcome, requests = await listed(page(0, 100, True), page(100, 130, False))
    assert isinstance(outcome, FileList) and outcome.whole
    assert [one.file.file_id for one in outcome.files] == [f"cfile_{number}" for number in range(130)]
    assert requests == [
        "GET /v1/containers/cntr_1%2F../files?order=asc&limit=100 HTTP/1.1",
        "GET /v1/containers/cntr_1%2F../files?order=asc&limit=100&after=cfile_99 HTTP/1.1",
    ]


async def test_rows_are_read_with_care() -> None:
    rows = [
        row(1, source="user", created_at=None),
        row(2, path=7),
        row(3, id="../x y"),
        {"id": 4},
        "no",
        row(1),
    ]
    outcome, _ = await listed(reply(200, {"data": rows}))
    assert outcome == FileList(
        (
            ContainerFile(CitedFile("cntr_1/..", "cfile_1", "/mnt/data/1.csv"), given=True),
            ContainerFile(CitedFile("cntr_1/..", "cfile_2", "cfile_2"), False, 1_700_000_000),
        )
    )


@pytest.mark.parametrize("pages", [10, 2])
async def test_a_list_without_end_is_read_so_far(pages: int) -> None:
    """Ten pages that go on, or one that comes again and again."""
    if pages == 2:
        outcome, requests = await listed(page(0, 100, True), page(0, 100, True))
    else:
        outcome, requests = await listed(*(page(at * 100, at * 100 + 100, True) for at in range(12)))
    assert isinstance(outcome, FileList) and not outcome.whole
    assert len(requests) == pages


@pytest.mark.parametrize(
    "answer, means",
    [
        (reply(404, error(None)), NoList("container_gone")),
        (reply(404, b"<html>", kind="text/html"), NoList("not_listed")),
        (reply(400, error(None)), NoList("not_listed")),
        (reply(401, error("invalid_api_key")), NoList("not_listed")),
        (reply(429, error("rate_limit_exceeded")), "rate_limit_exceeded"),
        (reply(500, error(None)), "http_500"),
        (reply(200, b"{"), "garbled"),
        (reply(200, {"data": {}}), "garbled"),
    ],
)
async def test_what_a_refusal_to_list_means(answer: Answer, means: Any) -> None:
    outcome, _ = await listed(answer)
    assert (outcome.code if isinstance(outcome, Unknown) else outcome) == means

"""Bad input at the door: a clear problem with a pointer, nothing stored, nothing lost."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from backlane import errors
from backlane.api.context import Permit, unguarded
from backlane.api.problems import STATUS, status_of
from backlane.core.storage import Search
from tests.conftest import Place

GOOD = {"type": "digest", "inputs": {"text": "A sentence about otters."}}


@pytest.fixture
async def http(place: Place) -> AsyncIterator[httpx2.AsyncClient]:
    """The API in this process, with ana's key; no worker runs."""
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {await place.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as client:
        yield client


async def stored(place: Place) -> int:
    caller = await place.caller()
    found = await place.service.store.read(
        lambda tx: tx.search(Search(workspace=caller.workspace, limit=200))
    )
    return len(found)


def raw(body: str) -> bytes:
    return body.encode()


LONG = "x" * 300
BAD: list[tuple[str, bytes, int, str]] = [
    ("not json", b"{", 400, ""),
    ("not utf-8", b'{"type": "\xff"}', 400, ""),
    ("empty", b"", 400, ""),
    ("a list", b"[]", 422, "/"),
    ("twice the same key", raw('{"type": "digest", "type": "digest", "inputs": {"text": "x"}}'), 400, ""),
    ("NaN", raw('{"type": "digest", "inputs": {"text": NaN}}'), 422, "/inputs/text"),
    ("infinity by size", raw('{"type": "digest", "inputs": {"text": 1e999}}'), 422, "/inputs/text"),
    ("a 5,000-digit number", raw('{"type": "digest", "inputs": {"text": ' + "9" * 5000 + "}}"), 400, ""),
    ("deep", raw('{"type": "digest", "inputs": {"text": ' + "[" * 100_000 + "]" * 100_000 + "}}"), 400, ""),
    ("a lone surrogate", raw('{"type": "digest", "inputs": {"text": "\\ud800"}}'), 422, "/inputs/text"),
    ("NUL", raw('{"type": "digest", "inputs": {"text": "a\\u0000b"}}'), 422, "/inputs/text"),
    ("NUL in a key", raw('{"type": "digest", "inputs": {"te\\u0000xt": "b"}}'), 422, "/inputs"),
    ("over a megabyte", raw(json.dumps({**GOOD, "inputs": {"text": "x" * 1_000_001}})), 413, ""),
    ("no type", raw('{"inputs": {}}'), 422, "/type"),
    ("no inputs", raw('{"type": "digest"}'), 422, "/inputs"),
    ("inputs of another kind", raw('{"type": "digest", "inputs": 5}'), 422, "/inputs"),
    ("an unknown type", raw(json.dumps({**GOOD, "type": "no-such"})), 422, "/type"),
    ("an unknown field", raw(json.dumps({**GOOD, "status": "completed"})), 422, "/status"),
    ("an unknown input", raw('{"type": "digest", "inputs": {"text": "x", "cost": 0}}'), 422, "/inputs/cost"),
    ("a missing input", raw('{"type": "digest", "inputs": {}}'), 422, "/inputs/text"),
    ("a wrong input", raw('{"type": "digest", "inputs": {"text": ["x"]}}'), 422, "/inputs/text"),
    ("a past window", raw(json.dumps({**GOOD, "useful_until": "2020-01-01T00:00:00Z"})), 422, "/useful_until"),
    ("a past deadline", raw(json.dumps({**GOOD, "deadline": "2020-01-01T00:00:00Z"})), 422, "/deadline"),
    ("a time without a zone", raw(json.dumps({**GOOD, "deadline": "2030-01-01T00:00:00"})), 422, "/deadline"),
    ("a start after the window", raw(json.dumps({**GOOD, "not_before": "2090-01-01T00:00:00Z"})), 422, "/not_before"),
    ("a cost that is none", raw(json.dumps({**GOOD, "max_cost": "cheap"})), 422, "/max_cost"),
    ("a cost below zero", raw(json.dumps({**GOOD, "max_cost": "-1"})), 422, "/max_cost"),
    ("an oversized user", raw(json.dumps({**GOOD, "user": LONG})), 422, "/user"),
    ("a priority of 10", raw(json.dumps({**GOOD, "priority": 10})), 422, "/priority"),
    ("17 metadata pairs", raw(json.dumps({**GOOD, "metadata": {str(n): "x" for n in range(17)}})), 422, "/metadata"),
    ("metadata that is a number", raw(json.dumps({**GOOD, "metadata": {"a": 1}})), 422, "/metadata/a"),
    ("an unknown lane", raw(json.dumps({**GOOD, "lane": "fast"})), 422, "/lane"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "status", "pointer"), BAD, ids=[row[0] for row in BAD])
async def test_a_bad_submit_is_refused_with_a_pointer_and_stores_nothing(
    place: Place, http: httpx2.AsyncClient, name: str, body: bytes, status: int, pointer: str
) -> None:
    answer = await http.post("/v1/jobs", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert answer.status_code == status, problem
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["request-id"].startswith("req_")
    assert problem["code"]
    assert pointer in [one["pointer"] for one in problem["errors"]]
    assert "x" * 100 not in answer.text, "an error must not echo what was sent"
    assert await stored(place) == 0


REFUSED = [
    ({"type": "short", "inputs": {"text": "x"}, "window": "2h"}, "not-available"),
    ({"type": "digest", "inputs": {"text": "x"}, "lane": "batch"}, "not-available"),
    ({"type": "digest", "inputs": {"text": "x"}, "group": "grp_1"}, "not-available"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED)
async def test_a_part_that_is_not_there_is_refused_never_half_run(
    place: Place, http: httpx2.AsyncClient, body: Any, code: str
) -> None:
    answer = await http.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, code)
    assert await stored(place) == 0


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=x", "status=done", "colour=red", "sort=cost", "cursor=zzz", "created_after=now",
     "cursor=" + "A" * 600, "q=" + "x" * 300, "q=%00"],
)  # fmt: skip
async def test_a_bad_filter_is_named(http: httpx2.AsyncClient, query: str) -> None:
    answer = await http.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"].startswith("?" + query.partition("=")[0])


@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer blk_x", "Basic abc", "Bearer " + "blk_" + "0" * 36]
)
async def test_without_a_valid_key_nothing_is_served(http: httpx2.AsyncClient, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    http.headers.pop("authorization")
    for method, path in (
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("GET", "/v1/jobs/job_1"),
        ("GET", "/v1/reviews"),
    ):
        answer = await http.request(method, path, headers=headers)
        assert answer.status_code == 401, path
        assert answer.json()["code"] == "unauthenticated"
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_another_methods_and_paths_answers_are_problems_too(http: httpx2.AsyncClient) -> None:
    for method, path, status in (
        ("PUT", "/v1/jobs", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/../etc/passwd", 404),
    ):
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_form_is_not_json(http: httpx2.AsyncClient) -> None:
    answer = await http.post("/v1/jobs", content=json.dumps(GOOD), headers={"content-type": "text/plain"})
    assert answer.status_code == 400


@pytest.mark.parametrize("key", ["", "k" * 256, "tab\tkey"])
async def test_a_bad_idempotency_key_is_refused(place: Place, http: httpx2.AsyncClient, key: str) -> None:
    answer = await http.post("/v1/jobs", json=GOOD, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert await stored(place) == 0


async def test_the_same_key_and_body_make_one_job_in_any_spelling(
    place: Place, http: httpx2.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "k1", "content-type": "application/json"}
    spellings = [json.dumps(GOOD), json.dumps(dict(reversed(GOOD.items())), indent=3), json.dumps(GOOD)]
    answers = [await http.post("/v1/jobs", content=one, headers=headers) for one in spellings]
    assert [answer.status_code for answer in answers] == [202, 200, 200]
    assert len({answer.json()["id"] for answer in answers}) == 1
    other = await http.post("/v1/jobs", json={**GOOD, "priority": 1}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency-conflict")
    assert await stored(place) == 1


def test_every_error_of_the_tree_has_a_status() -> None:
    def kinds(root: type) -> set[type]:
        return {root} | {found for child in root.__subclasses__() for found in kinds(child)}

    drawn = errors.__doc__ or ""
    for kind in kinds(errors.BacklaneError):
        assert kind.__name__ in drawn, f"{kind.__name__} is missing from the drawn tree"
    for kind in kinds(errors.Refusal) - {errors.Refusal}:
        assert kind in STATUS, f"{kind.__name__} has no HTTP status"
        assert status_of(kind.__new__(kind)) in range(400, 500)


async def test_a_route_without_a_permission_cannot_be_served(place: Place) -> None:
    app = place.app()
    assert unguarded(app) == []

    async def loose() -> None:
        """Nobody guards this."""

    app.add_api_route("/v1/loose", loose)
    assert unguarded(app) == ["['GET'] /v1/loose"]
    with pytest.raises(ValueError, match="no such permission"):
        Permit("jobs.everything")


async def test_health_and_the_description_need_no_key(http: httpx2.AsyncClient) -> None:
    http.headers.pop("authorization")
    assert (await http.get("/healthz")).json() == {"status": "ok"}
    assert (await http.get("/readyz")).json() == {"status": "ready"}
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert "/v1/jobs/{job_id}/resolve" in paths

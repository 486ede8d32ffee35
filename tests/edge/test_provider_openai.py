"""What a provider's answer means, shape by shape, over real sockets; and that one call is one purchase."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import Accepted, Failed, Finished, Gone, NotSent, Pending, Refused, Unknown, When
from backlane.core.ports import CreateCall
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace
from tests.edge.raw_server import Answer, cut, raw_server, reply, reset, silence
from tests.values import NOW

SAMPLES = Path(__file__).parents[1] / "samples"
QUEUED = json.loads((SAMPLES / "response.queued.json").read_text())
CALL = CreateCall(
    "att_1", "default", {"model": "gpt-6-luna", "input": "x", "metadata": {"backlane_attempt": "att_1"}}
)


def adapter(url: str, key: str = "sk-canary-1234", *, silent: bool = False) -> OpenAIProvider:
    """The adapter; its patience is short only where the provider says nothing at all."""
    pace = Pace(lambda: NOW, lambda: 0.0)
    return OpenAIProvider(
        {"default": Account(key, url)}, now=lambda: NOW, pace=pace, call_timeout=1_000 if silent else 30_000
    )


async def created(*answers: Answer) -> tuple[Any, list[str]]:
    async with raw_server(*answers) as server:
        provider = adapter(server.url, silent=silence in answers)
        outcome = await provider.create(CALL)
        await provider.close()
        return outcome, server.requests


async def looked(*answers: Answer, cancel: bool = False) -> tuple[Any, list[str]]:
    async with raw_server(*answers) as server:
        provider = adapter(server.url, silent=silence in answers)
        ask = provider.cancel if cancel else provider.look
        outcome = await ask("default", "resp_q01")
        await provider.close()
        return outcome, server.requests


def error(code: str | None, kind: str = "invalid_request_error", message: str = "No.") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


async def test_an_accepted_create_gives_the_run() -> None:
    outcome, requests = await created(reply(200, QUEUED))
    assert outcome == Accepted("resp_q01", "queued")
    assert requests == ["POST /v1/responses HTTP/1.1"]


DOUBTFUL: list[tuple[str, Answer]] = [
    ("connection reset", reset),
    ("no reply in time", silence),
    ("reply cut midway", cut(b'{"id": "resp_1", "sta', 500)),
    ("garbled json", reply(200, b'{"id": "resp_1"')),
    ("html", reply(200, b"<html>ok</html>", kind="text/html")),
    ("json without an id", reply(200, {"object": "response"})),
    ("an error inside 200", reply(200, error("server_error"))),
    ("a list", reply(200, [1, 2])),
    ("408", reply(408, error(None))),
    ("409", reply(409, error("conflict"))),
    ("500", reply(500, error(None, "server_error"))),
    ("500 with html", reply(500, b"<html>", kind="text/html")),
    ("502", reply(502, b"")),
    ("504", reply(504, error(None))),
    ("529", reply(529, error("overloaded"))),
    ("503 of another code", reply(503, error("maintenance"))),
    ("503 that is not json", reply(503, b"server_is_overloaded", kind="text/plain")),
    ("a redirect", reply(302, b"", {"location": "/x"})),
]


@pytest.mark.parametrize(("name", "answer"), DOUBTFUL, ids=[name for name, _ in DOUBTFUL])
async def test_what_may_have_been_bought_is_unknown_and_asked_once(name: str, answer: Answer) -> None:
    outcome, requests = await created(answer)
    assert isinstance(outcome, Unknown), name
    assert len(requests) == 1, "a hidden retry is a second purchase"


REFUSED: list[tuple[str, Answer, When, str]] = [
    ("rate limit", reply(429, error("rate_limit_exceeded", "requests")), When.LATER, "rate_limit_exceeded"),
    ("flex unavailable", reply(429, error("resource_unavailable")), When.LATER, "resource_unavailable"),
    (
        "overloaded",
        reply(503, error("server_is_overloaded", "service_unavailable_error")),
        When.LATER,
        "server_is_overloaded",
    ),
    ("slow down", reply(503, error("slow_down", "rate_limit_error")), When.LATER, "slow_down"),
    (
        "quota",
        reply(429, error("insufficient_quota", "insufficient_quota")),
        When.INCIDENT,
        "insufficient_quota",
    ),
    ("no credits", reply(429, error("credit_balance_exhausted")), When.INCIDENT, "credit_balance_exhausted"),
    ("bad key", reply(401, error("invalid_api_key")), When.INCIDENT, "invalid_api_key"),
    (
        "forbidden",
        reply(403, error("unsupported_country_region_territory")),
        When.INCIDENT,
        "unsupported_country_region_territory",
    ),
    ("bad request", reply(400, error("unknown_parameter")), When.NEVER, "request_refused"),
    ("retired model", reply(404, error("model_not_found")), When.NEVER, "model_not_found"),
    ("bad prompt", reply(400, error("invalid_prompt")), When.NEVER, "invalid_prompt"),
    ("unprocessable", reply(422, error(None)), When.NEVER, "request_refused"),
    ("too large", reply(413, b"", kind="text/plain"), When.NEVER, "request_refused"),
]


@pytest.mark.parametrize(("name", "answer", "when", "code"), REFUSED, ids=[row[0] for row in REFUSED])
async def test_a_refusal_is_proof_that_nothing_was_bought(
    name: str, answer: Answer, when: When, code: str
) -> None:
    outcome, requests = await created(answer)
    assert isinstance(outcome, Refused), name
    assert (outcome.when, outcome.code) == (when, code)
    assert len(requests) == 1


async def test_a_connection_that_was_never_made_is_proof_too() -> None:
    assert isinstance(await adapter("http://127.0.0.1:9/v1").create(CALL), NotSent)
    assert isinstance(await adapter("http://nowhere.invalid/v1").create(CALL), NotSent)


async def test_a_refusal_that_asks_for_a_pause_holds_the_next_create() -> None:
    async with raw_server(reply(429, error("rate_limit_exceeded"), {"retry-after": "20"})) as server:
        provider = adapter(server.url)
        assert provider.create_wait("default", "gpt-6-luna") == 0
        outcome = await provider.create(CALL)
        assert isinstance(outcome, Refused)
        assert outcome.retry_after == 20_000
        assert provider.create_wait("default", "gpt-6-luna") == 20_000
        assert provider.create_wait("default", "another-model") == 0
        await provider.close()


async def test_rate_limit_headers_pace_creates() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0.5s"}
    async with raw_server(reply(200, QUEUED, headers)) as server:
        provider = adapter(server.url)
        await provider.create(CALL)
        assert provider.create_wait("default", "gpt-6-luna") == 60_500
        await provider.close()


async def test_an_id_is_kept_however_odd_the_rest_is() -> None:
    outcome, _ = await created(reply(200, {"id": "resp_odd", "status": "pondering", "output": 7}))
    assert outcome == Accepted("resp_odd", "pondering")
    ended, _ = await created(reply(200, {**QUEUED, "status": "failed"}))
    assert isinstance(ended, Accepted)
    assert ended.ended


@pytest.mark.parametrize(
    ("name", "expected"),
    [("queued", Pending), ("in_progress", Pending), ("completed", Finished), ("failed", Failed)],
)
async def test_a_look_says_where_the_run_is(name: str, expected: type) -> None:
    sample = json.loads((SAMPLES / f"response.{name}.json").read_text()) | {"id": "resp_q01"}
    outcome, requests = await looked(reply(200, sample))
    assert isinstance(outcome, expected)
    assert requests == ["GET /v1/responses/resp_q01 HTTP/1.1"]


NOT_LEARNED: list[tuple[str, Answer, type]] = [
    ("reset", reset, Unknown),
    ("timeout", silence, Unknown),
    ("garbled", reply(200, b"{"), Unknown),
    ("another run", reply(200, {**QUEUED, "id": "resp_other"}), Unknown),
    ("unknown status", reply(200, {**QUEUED, "status": "thinking"}), Pending),
    ("500", reply(500, error(None)), Unknown),
    ("409", reply(409, error(None)), Unknown),
    ("429", reply(429, error("rate_limit_exceeded"), {"retry-after-ms": "494"}), Refused),
    ("401", reply(401, error("invalid_api_key")), Refused),
    ("404", reply(404, error(None)), Gone),
]


@pytest.mark.parametrize(("name", "answer", "expected"), NOT_LEARNED, ids=[row[0] for row in NOT_LEARNED])
async def test_a_look_that_learns_nothing_costs_the_run_nothing(
    name: str, answer: Answer, expected: type
) -> None:
    outcome, requests = await looked(answer)
    assert isinstance(outcome, expected), name
    assert len(requests) == 1


async def test_the_providers_hint_for_the_next_look_is_honoured() -> None:
    outcome, _ = await looked(reply(200, QUEUED, {"openai-poll-after-ms": "7500"}))
    assert outcome == Pending("queued", 7500, {"backlane_job": "job_01", "lane": "background"})


@pytest.mark.parametrize("status", [400, 404, 409])
async def test_a_refused_cancel_is_settled_by_a_look(status: int) -> None:
    done = json.loads((SAMPLES / "response.completed.json").read_text())
    outcome, requests = await looked(reply(status, error(None)), reply(200, done), cancel=True)
    assert isinstance(outcome, Finished)
    assert [line.split()[0] for line in requests] == ["POST", "GET"]


async def test_a_confirmed_cancel_is_canceled_in_our_words() -> None:
    sample = json.loads((SAMPLES / "response.cancelled.partial.json").read_text()) | {"id": "resp_q01"}
    outcome, _ = await looked(reply(200, sample), cancel=True)
    assert isinstance(outcome, Finished)
    assert (outcome.answer.status, outcome.answer.text) == ("canceled", "Silent circuits hum,")


async def test_no_secret_is_in_an_error_or_a_repr() -> None:
    told = "Incorrect API key provided: sk-canary-1234. You can find…"
    outcome, _ = await created(reply(401, error("invalid_api_key", message=told)))
    assert "canary" not in repr(outcome)
    assert "canary" not in repr(Account("sk-canary-1234"))


async def test_an_id_from_outside_cannot_change_the_path() -> None:
    async with raw_server(reply(404, error(None))) as server:
        provider = adapter(server.url)
        await provider.look("default", "../files/x?y=1")
        await provider.close()
        assert server.requests == ["GET /v1/responses/..%2Ffiles%2Fx%3Fy%3D1 HTTP/1.1"]


@pytest.mark.parametrize(
    "case", json.loads((SAMPLES / "errors.json").read_text()), ids=lambda case: str(case["status"])
)
async def test_every_sampled_error_has_a_meaning(case: dict[str, Any]) -> None:
    headers = {name: value for name, value in case["headers"].items() if name != "content-type"}
    create, _ = await created(reply(case["status"], case["body"], headers))
    look, _ = await looked(reply(case["status"], case["body"], headers))
    assert isinstance(create, Refused | Unknown)
    assert isinstance(look, Refused | Unknown | Gone)

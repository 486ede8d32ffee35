"""Looking at a run and asking for its end, over a real socket: nothing that goes wrong here costs the run."""

import json
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import Failed, Finished, Gone, Pending, Refused, Unknown, When
from backlane.core.ports import CreateCall
from tests.edge.test_provider_creates import Make, Wire, error, provider_maker, raw, says, scripted_wire

FIXTURES = (provider_maker, scripted_wire)
SAMPLES = Path(__file__).parent.parent / "samples"
RUNNING = says({"id": "resp_1", "status": "in_progress"})
STOPPED = says({"id": "resp_1", "status": "cancelled", "output": [], "usage": None})
DONE = says({"id": "resp_1", "status": "completed", "output": []})


def test_the_samples_are_where_the_tests_look() -> None:
    assert len(list(SAMPLES.glob("response.*.json"))) > 15


@pytest.mark.parametrize(
    ("name", "kind"), [("completed", Finished), ("failed", Failed), ("cancelled.partial", Finished)]
)
async def test_a_look_at_a_run_that_ended(wire: Wire, make: Make, name: str, kind: type) -> None:
    body = json.loads((SAMPLES / f"response.{name}.json").read_text())
    wire.replies = [says(body)]
    assert isinstance(await make().look("default", body["id"]), kind)
    assert [(method, path) for method, path, _, _ in wire.seen] == [("GET", f"/v1/responses/{body['id']}")]


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"openai_poll_after_ms": "1500"}, 1500),
        ({"retry_after": "2"}, 2000),
        ({"openai_poll_after_ms": "0", "retry_after": "3"}, 3000),
        ({"openai_poll_after_ms": "9" * 5000}, None),
        ({"openai_poll_after_ms": "-1", "retry_after": "never"}, None),
        ({}, None),
    ],
)
async def test_a_hint_when_to_look_again_is_handed_on(
    wire: Wire, make: Make, headers: dict[str, str], wait: int | None
) -> None:
    wire.replies = [says({"id": "resp_1", "status": "in_progress"}, **headers)]
    assert await make().look("default", "resp_1") == Pending("in_progress", wait)


UNLEARNED: list[tuple[bytes | str, str]] = [
    ("reset", "connection_lost"),
    ("silence", "timeout"),
    ("dribble", "timeout"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{<cut>", "connection_lost"),
    (raw(b"<html>", content_type="text/html"), "garbled_reply"),
    (raw(b""), "garbled_reply"),
    (says([]), "garbled_reply"),
    (says({"id": "resp_other", "status": "completed"}), "wrong_response"),
    (error(408), "http_408"),
    (error(409), "http_409"),
    (error(422), "http_422"),
    (error(500), "http_500"),
    (error(503, "server_is_overloaded"), "http_503"),
    (raw(b"<html>nginx</html>", 404, content_type="text/html"), "http_404"),
    (raw(b"", 302, location="/"), "http_302"),
]


@pytest.mark.parametrize(("reply", "code"), UNLEARNED)
@pytest.mark.parametrize("verb", ["look", "cancel"])
async def test_a_look_that_teaches_nothing(
    wire: Wire, make: Make, verb: str, reply: bytes | str, code: str
) -> None:
    wire.replies = [reply] * 2
    provider = make(call_timeout=250 if code == "timeout" else 30_000)
    outcome = await getattr(provider, verb)("default", "resp_1")
    assert isinstance(outcome, Unknown) and outcome.code == code
    # A cancel that was refused is settled by one look; nothing else is ever asked twice.
    settled = verb == "cancel" and code in ("http_404", "http_409")
    assert len(wire.seen) == 1 + settled


async def test_a_run_the_provider_does_not_know_is_gone(wire: Wire, make: Make) -> None:
    wire.replies = [error(404, message="Response with id 'resp_1' not found.")]
    assert await make().look("default", "resp_1") == Gone("Response with id 'resp_1' not found.")


@pytest.mark.parametrize(
    "reply", [error(401, "invalid_api_key"), error(403), error(429, "insufficient_quota")]
)
async def test_a_look_that_a_person_must_mend(wire: Wire, make: Make, reply: bytes) -> None:
    wire.replies = [reply]
    outcome = await make().look("default", "resp_1")
    assert isinstance(outcome, Refused) and outcome.when is When.INCIDENT


async def test_a_rate_limited_look_holds_the_looks_of_its_account(wire: Wire, make: Make) -> None:
    wire.replies = [error(429, headers={"retry-after": "4"})]
    provider = make()
    assert provider.look_wait("default") == 0
    outcome = await provider.look("default", "resp_1")
    assert isinstance(outcome, Refused) and outcome.when is When.LATER and outcome.retry_after == 4_000
    assert provider.look_wait("default") >= 4_000
    assert provider.look_wait("other") == 0
    assert provider.create_wait("default", "m") == 0


async def test_a_rate_limited_create_holds_the_creates_of_its_account_and_model(
    wire: Wire, make: Make
) -> None:
    wire.replies = [error(503, "slow_down", headers={"retry-after": "4"})]
    provider = make()
    await provider.create(CreateCall("att_1", "default", {"model": "m"}))
    assert provider.create_wait("default", "m") >= 4_000
    assert provider.create_wait("default", None) == 0
    assert provider.look_wait("default") == 0


async def test_the_headers_of_a_create_pace_the_next(wire: Wire, make: Make) -> None:
    limits = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "1m0.052s"}
    wire.replies = [says({"id": "resp_1"}, **limits)]
    provider = make()
    await provider.create(CreateCall("att_1", "default", {"model": "m"}))
    assert provider.create_wait("default", "m") >= 60_052


async def test_a_cancel_says_what_became_of_the_run(wire: Wire, make: Make) -> None:
    wire.replies = [STOPPED, RUNNING]
    provider = make()
    outcome = await provider.cancel("default", "resp_1")
    assert isinstance(outcome, Finished) and outcome.answer.status == "canceled"
    assert outcome.answer.usage is None
    assert isinstance(await provider.cancel("default", "resp_1"), Pending)
    assert [(method, path) for method, path, _, _ in wire.seen] == [
        ("POST", "/v1/responses/resp_1/cancel")
    ] * 2


@pytest.mark.parametrize("refusal", [error(400), error(404), error(409)])
@pytest.mark.parametrize(("then", "kind"), [(DONE, Finished), (RUNNING, Pending), (error(404), Gone)])
async def test_a_refused_cancel_is_settled_by_looking(
    wire: Wire, make: Make, refusal: bytes, then: bytes, kind: type
) -> None:
    wire.replies = [refusal, then]
    assert isinstance(await make().cancel("default", "resp_1"), kind)
    assert [method for method, _, _, _ in wire.seen] == ["POST", "GET"]


@pytest.mark.parametrize("name", ["", ".", "..", "a b", "x" * 300])
async def test_what_is_no_run_id_is_never_put_into_a_path(wire: Wire, make: Make, name: str) -> None:
    provider = make()
    assert isinstance(await provider.look("default", name), Gone)
    assert isinstance(await provider.cancel("default", name), Gone)
    await provider.delete("default", name)
    assert wire.connections == 0


async def test_a_run_id_cannot_reach_another_path(wire: Wire, make: Make) -> None:
    wire.replies = [error(404)]
    assert isinstance(await make().look("default", "../files?x=1#y"), Gone)
    assert wire.seen[0][1] == "/v1/responses/..%2Ffiles%3Fx%3D1%23y"


@pytest.mark.parametrize("reply", [says({"deleted": True}), error(404), error(400), error(500), "reset"])
async def test_a_delete_never_raises(wire: Wire, make: Make, reply: Any) -> None:
    wire.replies = [reply]
    await make().delete("default", "resp_1")
    assert [(method, path) for method, path, _, _ in wire.seen] == [("DELETE", "/v1/responses/resp_1")]

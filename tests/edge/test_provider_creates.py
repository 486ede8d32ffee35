"""The adapter against a real socket: one call is one request, and every answer or silence has its outcome."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import (
    Accepted,
    Gone,
    NotSent,
    Refused,
    Unknown,
    When,
)
from backlane.core.ports import CreateCall
from backlane.errors import SettingsError
from backlane.provider.calling import Account
from backlane.provider.openai import OpenAIProvider
from backlane.provider.pace import Pace

SAMPLES = Path(__file__).parent.parent / "samples"
KEY = "sk-test-0123456789abcdef"
NOW = 1_795_450_000_000


def raw(body: bytes, status: int = 200, **headers: str) -> bytes:
    names = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in names.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode() + body


def says(body: Any, status: int = 200, **headers: str) -> bytes:
    return raw(json.dumps(body).encode(), status, **headers)


def error(status: int, code: str | None = None, **more: Any) -> bytes:
    headers = more.pop("headers", {})
    found = {"message": "No.", "type": "invalid_request_error", "param": None, "code": code, **more}
    return says({"error": found}, status, **headers)


class Wire:
    """A scripted provider: each connection's request is answered by the next script entry."""

    def __init__(self) -> None:
        self.replies: list[bytes | str] = []
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.connections = 0
        self.closing = asyncio.Event()
        self.server: asyncio.Server | None = None

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.strip().split("\r\n")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                method, path, _ = first.split(" ")
                self.seen.append((method, path, headers, body))
                if not await self.answer(writer, self.replies.pop(0)):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, writer: asyncio.StreamWriter, reply: bytes | str) -> bool:
        """Write the reply; whether the connection stays open."""
        if isinstance(reply, bytes):
            writer.write(reply)
            await writer.drain()
            return not reply.endswith(b"<cut>")
        if reply == "reset":
            writer.transport.abort()
        elif reply == "dribble":
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            while not self.closing.is_set():
                writer.write(b" ")
                await writer.drain()
                await asyncio.wait([asyncio.ensure_future(self.closing.wait())], timeout=0.02)
        elif reply == "silence":
            await self.closing.wait()
        return False

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"


@pytest.fixture(name="wire")
async def scripted_wire() -> AsyncIterator[Wire]:
    wire = Wire()
    wire.server = await asyncio.start_server(wire.handle, "127.0.0.1", 0)
    yield wire
    wire.closing.set()
    wire.server.close()


Make = Callable[..., OpenAIProvider]


@pytest.fixture(name="make")
async def provider_maker(wire: Wire) -> AsyncIterator[Make]:
    made: list[OpenAIProvider] = []

    def build(url: str | None = None, **settings: Any) -> OpenAIProvider:
        pace = Pace(lambda: NOW, lambda: 0.0)
        account = Account(KEY, url or wire.url)
        made.append(OpenAIProvider({"default": account}, now=lambda: NOW, pace=pace, **settings))
        return made[-1]

    yield build
    for provider in made:
        await provider.close()


def a_call(**params: Any) -> CreateCall:
    given = {"model": "gpt-6-luna", "input": "hi", "metadata": {"backlane_attempt": "att_1"}}
    return CreateCall("att_1", "default", {**given, **params})


async def test_a_create_is_sent_as_it_was_asked_for_and_in_the_background(wire: Wire, make: Make) -> None:
    wire.replies = [says({"id": "resp_1", "status": "queued"}, openai_poll_after_ms="900")]
    outcome = await make().create(a_call(extra_thing={"deep": "é"}, stream=True, store=False))
    assert outcome == Accepted("resp_1", "queued", 900)
    ((method, path, headers, body),) = wire.seen
    assert (method, path) == ("POST", "/v1/responses")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert json.loads(body) == {**a_call(extra_thing={"deep": "é"}, store=False).params, "background": True}


async def test_store_is_left_to_the_provider_unless_asked_for(wire: Wire, make: Make) -> None:
    wire.replies = [says({"id": "resp_1"})]
    await make().create(a_call())
    assert "store" not in json.loads(wire.seen[0][3])


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (says({"id": "resp_1", "status": "in_progress"}), Accepted("resp_1", "in_progress")),
        (says({"id": "resp_1", "status": "completed"}), Accepted("resp_1", "completed", ended=True)),
        (says({"id": "resp_1", "status": 5, "error": "?"}), Accepted("resp_1", "unknown")),
        (says({"id": "resp_1", "status": "queued"}, 202), Accepted("resp_1", "queued")),
        (raw(b'{"id":"resp_1"}', content_type="text/plain"), Accepted("resp_1", "unknown")),
    ],
)
async def test_an_id_is_a_purchase_however_odd_the_reply(
    wire: Wire, make: Make, reply: bytes, outcome: Accepted
) -> None:
    wire.replies = [reply]
    assert await make().create(a_call()) == outcome


LOST = {
    "reset": "connection_lost",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{<cut>": "connection_lost",
    b"hello\r\n\r\n<cut>": "connection_lost",
    raw(b"<a>", content_encoding="gzip"): "connection_lost",
    "silence": "timeout",
    "dribble": "timeout",
    raw(b"<html>busy</html>", content_type="text/html"): "garbled_reply",
    raw(b'{"id": "resp_1"'): "garbled_reply",
    raw(b""): "garbled_reply",
    raw(b"[" * 100_000): "garbled_reply",
    raw(b"\xff\xfe"): "garbled_reply",
    raw(b"[]"): "garbled_reply",
    says({"error": {"code": "server_error"}}): "garbled_reply",
    says({"id": ""}): "garbled_reply",
    says({"id": "resp_1", "metadata": {"backlane_attempt": "att_2"}}): "wrong_response",
    error(408): "http_408",
    error(409): "http_409",
    error(500, "server_error"): "http_500",
    error(502): "http_502",
    error(503): "http_503",
    error(503, "other"): "http_503",
    raw(b"server_is_overloaded", 503, content_type="text/html"): "http_503",
    says({"error": "server_is_overloaded"}, 503): "http_503",
    error(504): "http_504",
    error(529): "http_529",
    raw(b"", 301): "http_301",
    error(500, headers={"x-should-retry": "true", "retry-after-ms": "1"}): "http_500",
}


@pytest.mark.parametrize("reply", LOST)
async def test_a_create_that_may_have_been_bought_is_unknown_and_never_repeated(
    wire: Wire, make: Make, reply: bytes | str
) -> None:
    wire.replies = [reply, says({"id": "resp_second"})]
    outcome = await make(call_timeout=300 if LOST[reply] == "timeout" else 30_000).create(a_call())
    assert isinstance(outcome, Unknown), outcome
    assert outcome.code == LOST[reply]
    assert len(wire.seen) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(wire: Wire, make: Make, status: int) -> None:
    wire.replies = [raw(b"", status, location=wire.url + "/responses"), says({"id": "resp_second"})]
    assert isinstance(await make().create(a_call()), Unknown)
    assert len(wire.seen) == 1


LATER, INCIDENT, NEVER = When.LATER, When.INCIDENT, When.NEVER
REFUSED: list[tuple[bytes, When, str, int | None]] = [
    (error(429, "rate_limit_exceeded", headers={"retry-after": "20"}), LATER, "rate_limit_exceeded", 20_000),
    (error(429, headers={"retry-after": "1", "retry-after-ms": "494"}), LATER, "rate_limit_exceeded", 494),
    (error(429, "resource_unavailable"), LATER, "resource_unavailable", None),
    (error(429, headers={"retry-after": "nan"}), LATER, "rate_limit_exceeded", None),
    (raw(b"<html>", 429), LATER, "rate_limit_exceeded", None),
    (error(503, "server_is_overloaded", headers={"retry-after": "2"}), LATER, "server_is_overloaded", 2_000),
    (error(503, "slow_down"), LATER, "slow_down", None),
    (error(429, "insufficient_quota"), INCIDENT, "insufficient_quota", None),
    (error(429, None, type="insufficient_quota"), INCIDENT, "insufficient_quota", None),
    (error(429, "credit_balance_exhausted"), INCIDENT, "credit_balance_exhausted", None),
    (error(401, "invalid_api_key"), INCIDENT, "invalid_api_key", None),
    (raw(b"", 401), INCIDENT, "http_401", None),
    (
        error(403, "unsupported_country_region_territory"),
        INCIDENT,
        "unsupported_country_region_territory",
        None,
    ),
    (error(400, "unknown_parameter"), NEVER, "request_refused", None),
    (error(400, "invalid_prompt"), NEVER, "invalid_prompt", None),
    (error(400, "content_policy_violation"), NEVER, "content_policy_violation", None),
    (error(400, "invalid_image_url"), NEVER, "invalid_image_url", None),
    (error(400, "model_not_found"), NEVER, "model_not_found", None),
    (error(404, "model_not_found"), NEVER, "model_not_found", None),
    (error(404, None, param="model"), NEVER, "model_not_found", None),
    (error(404), NEVER, "request_refused", None),
    (error(413), NEVER, "request_refused", None),
    (error(422), NEVER, "request_refused", None),
    (raw(b"<html>", 400), NEVER, "request_refused", None),
]


@pytest.mark.parametrize(("reply", "when", "code", "wait"), REFUSED)
async def test_a_refused_create_says_what_may_be_done_next(
    wire: Wire, make: Make, reply: bytes, when: When, code: str, wait: int | None
) -> None:
    wire.replies = [reply]
    outcome = await make().create(a_call())
    assert isinstance(outcome, Refused)
    assert (outcome.when, outcome.code, outcome.retry_after) == (when, code, wait)
    assert len(wire.seen) == 1


@pytest.mark.parametrize(
    "case", json.loads((SAMPLES / "errors.json").read_text()), ids=lambda c: str(c["status"])
)
async def test_recorded_errors(wire: Wire, make: Make, case: dict[str, Any]) -> None:
    status, code = case["status"], case["body"]["error"]["code"]
    headers = {name: value for name, value in case["headers"].items() if name != "content-type"}
    wire.replies = [says(case["body"], status, **headers)] * 2
    provider = make()
    outcome = await provider.create(a_call())
    expected: dict[int, Any] = {400: NEVER, 404: NEVER, 401: INCIDENT, 403: INCIDENT, 429: LATER, 503: LATER}
    quota = code in ("insufficient_quota", "credit_balance_exhausted")
    if status in expected:
        assert isinstance(outcome, Refused) and outcome.when is (INCIDENT if quota else expected[status])
    else:
        assert isinstance(outcome, Unknown)
    looked = await provider.look("default", "resp_1")
    kinds: dict[int, type] = {401: Refused, 403: Refused, 429: Refused, 404: Gone}
    assert isinstance(looked, kinds.get(status, Unknown))


@pytest.mark.parametrize(
    "said",
    [
        f"Incorrect API key provided: {KEY}. See https://x",
        "Incorrect API key provided: sk-ab***yz. See https://x",
        "Sent Bearer eyJhbGciOi.abc. See https://x",
    ],
)
async def test_no_outcome_holds_a_key(wire: Wire, make: Make, said: str) -> None:
    wire.replies = [error(401, "invalid_api_key", message=said + "x" * 900)]
    provider = make()
    outcome = await provider.create(a_call())
    assert isinstance(outcome, Refused)
    assert not re.search(r"0123456789|\*\*\*|eyJ", outcome.message)
    assert len(outcome.message) <= 300
    assert KEY not in repr(Account(KEY)) + repr(vars(provider))


async def test_ordinary_words_are_not_taken_for_keys(wire: Wire, make: Make) -> None:
    wire.replies = [error(400, message="The task-force has no desk-chair.")]
    outcome = await make().create(a_call())
    assert isinstance(outcome, Refused) and "task-force has no desk-chair" in outcome.message


async def test_a_refused_connection_proves_that_nothing_was_sent(wire: Wire, make: Make) -> None:
    url = wire.url
    assert wire.server is not None
    wire.server.close()
    provider = make(url)
    assert isinstance(await provider.create(a_call()), NotSent)
    assert isinstance(await provider.look("default", "resp_1"), NotSent)
    assert isinstance(await provider.cancel("default", "resp_1"), NotSent)


async def test_a_name_that_resolves_to_nothing_proves_that_nothing_was_sent(make: Make) -> None:
    assert isinstance(await make("http://provider.invalid/v1").create(a_call()), NotSent)


async def test_a_failed_handshake_proves_that_nothing_was_sent(make: Make) -> None:
    async def no_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"this is not TLS\r\n")
        writer.close()

    server = await asyncio.start_server(no_tls, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert isinstance(await make(f"https://127.0.0.1:{port}/v1").create(a_call()), NotSent)
    server.close()


async def test_a_silent_handshake_proves_that_nothing_was_sent(wire: Wire, make: Make) -> None:
    outcome = await make(wire.url.replace("http:", "https:"), call_timeout=400).create(a_call())
    assert isinstance(outcome, NotSent)
    assert wire.seen == []


async def test_an_account_without_a_key_waits_for_a_person(make: Make) -> None:
    provider = OpenAIProvider({"default": Account("")}, now=lambda: NOW, pace=Pace(lambda: NOW, lambda: 0.0))
    for account in ("default", "missing"):
        outcome = await provider.create(CreateCall("att_1", account, {}))
        assert isinstance(outcome, Refused) and outcome.when is INCIDENT
        looked = await provider.look(account, "resp_1")
        assert isinstance(looked, Refused) and looked.when is INCIDENT


@pytest.mark.parametrize(
    "account",
    [
        Account("sk-\nx"),
        Account("sk-é"),
        Account(KEY, "ftp://x"),
        Account(KEY, "x"),
        Account(KEY, "http://["),
    ],
)
def test_an_account_that_can_never_work_stops_the_start(account: Account) -> None:
    with pytest.raises(SettingsError, match="OPENAI_") as caught:
        OpenAIProvider({"default": account}, now=lambda: NOW, pace=Pace(lambda: NOW, lambda: 0.0))
    assert "sk-" not in str(caught.value)


@pytest.mark.parametrize("odd", [float("nan"), object(), b"bytes", "\ud83d"])
async def test_a_request_that_is_not_json_is_refused_unsent(wire: Wire, make: Make, odd: Any) -> None:
    outcome = await make().create(a_call(extra=odd))
    assert isinstance(outcome, Refused) and outcome.when is NEVER
    assert wire.connections == 0


async def test_other_accounts_of_the_environment_are_not_used(
    wire: Wire, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "http://elsewhere.invalid")
    wire.replies = [says({"id": "resp_1"})]
    assert isinstance(await make().create(a_call()), Accepted)
    assert not {"openai-organization", "openai-project"} & set(wire.seen[0][2])


async def test_the_accounts_own_project_and_organization_are_sent(wire: Wire) -> None:
    """Whose budget and limits a run counts against is the account's word, call by call."""
    accounts = {
        "default": Account(KEY, wire.url, organization="org-one", project="proj_one"),
        "other": Account(KEY, wire.url, project="proj_two"),
    }
    provider = OpenAIProvider(accounts, now=lambda: NOW, pace=Pace(lambda: NOW, lambda: 0.0))
    wire.replies = [says({"id": "resp_1"}), says({"id": "resp_2"})]
    for name in accounts:
        assert isinstance(await provider.create(replace(a_call(), account=name)), Accepted)
    await provider.close()
    sent = [(one[2].get("openai-organization"), one[2].get("openai-project")) for one in wire.seen]
    assert sent == [("org-one", "proj_one"), (None, "proj_two")]


async def test_a_canceled_call_is_let_go(wire: Wire, make: Make) -> None:
    wire.replies = ["silence"]
    calling = asyncio.create_task(make().create(a_call()))
    while not wire.seen:
        await asyncio.wait([calling], timeout=0.01)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert len(wire.seen) == 1

"""The door for the provider's events: what is not signed for us leaves nothing but a count."""

import asyncio
import base64
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import openai
import pytest
from fastapi import APIRouter, Depends
from hypothesis import given
from hypothesis import strategies as st

from backlane.api import hooks
from backlane.api.context import unguarded
from backlane.api.unread import LINGER_BYTES
from backlane.errors import SettingsError
from backlane.provider.webhooks import EVENT_TYPES, Door, is_genuine, read_event, signing_key
from backlane.settings import load_settings
from backlane.simulator.server import Running
from backlane.store.tables_wire import inbox
from backlane.wiring import build
from tests import signing
from tests.conftest import Place, settings_for
from tests.signing import OTHER, SECRET, event, signature
from tests.values import small_app

NOW = 1_795_450_000
BODY = event("resp_1")
URL = "/v1/providers/openai/webhooks"


def signed(body: bytes, webhook_id: str = "wh_1", **more: Any) -> dict[str, str]:
    """The headers of a delivery that was signed at the test's own time."""
    return signing.signed(body, webhook_id, **{"timestamp": NOW, **more})


class Still:
    """A clock that stands."""

    def now(self) -> int:
        return NOW * 1000 + 999

    async def sleep(self, milliseconds: int) -> None:
        raise AssertionError("nobody waits here")


@pytest.fixture
async def door(tmp_path: Path, simulator: Running) -> AsyncIterator[tuple[Place, httpx2.AsyncClient]]:
    """A service with a secret, whose worker does not run."""
    chosen = settings_for(tmp_path, simulator, openai_webhook_secret=f"{OTHER}, {SECRET}")
    said: list[str] = []
    service = build(chosen, types=small_app(), log=said.append)
    service.ports = replace(service.ports, clock=Still())
    place = Place(service, simulator, chosen)
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        yield place, client
    await service.drain()
    assert said == []


def rows(place: Place) -> list[dict[str, Any]]:
    found = place.service.store.database.read_now(lambda c: c.execute(inbox.select()).mappings().all())
    return [dict(row) for row in found]


def changed(**changes: str | None) -> dict[str, str]:
    given = {**signed(BODY), **{name.replace("_", "-"): value for name, value in changes.items()}}
    return {name: value for name, value in given.items() if value is not None}


def old(seconds: int) -> dict[str, str]:
    return signed(BODY, timestamp=NOW - seconds)


SIGNATURE = signed(BODY)["webhook-signature"]
BAD: list[tuple[str, bytes, dict[str, str]]] = [
    ("no signature", BODY, changed(webhook_signature=None)),
    ("no id", BODY, changed(webhook_id=None)),
    ("no timestamp", BODY, changed(webhook_timestamp=None)),
    ("an empty signature", BODY, changed(webhook_signature="")),
    ("another secret", BODY, signed(BODY, secret="whsec_" + base64.b64encode(b"wrong").decode())),
    ("the public part of the secret", BODY, signed(BODY, secret=SECRET[6:])),
    ("another body", event("resp_2"), signed(BODY)),
    ("the body written anew", json.dumps(json.loads(BODY), indent=1).encode(), signed(BODY)),
    ("a BOM before the body", b"\xef\xbb\xbf" + BODY, signed(BODY)),
    ("a truncated body", BODY[:-1], signed(BODY)),
    ("an empty body", b"", signed(BODY)),
    ("another id", BODY, changed(webhook_id="wh_2")),
    ("another time", BODY, changed(webhook_timestamp="1")),
    ("a time that is none", BODY, signed(BODY, timestamp="now")),
    ("a time of 5,000 digits", BODY, signed(BODY, timestamp="9" * 5000)),
    ("not a number", BODY, signed(BODY, timestamp="nan")),
    ("over five minutes old", BODY, old(301)),
    ("over five minutes early", BODY, old(-301)),
    ("a cut signature", BODY, changed(webhook_signature=SIGNATURE[:-2])),
    ("another version", BODY, changed(webhook_signature=SIGNATURE.replace("v1,", "v2,"))),
    ("signatures beyond count", BODY, changed(webhook_signature="v1,AAAA " * 60 + SIGNATURE)),
    ("signed, with a BOM", b"\xef\xbb\xbf" + BODY, signed(b"\xef\xbb\xbf" + BODY)),
    ("signed, not UTF-8", b'{"type": "\xff"}', signed(b'{"type": "\xff"}')),
    ("signed, not JSON", b"hello", signed(b"hello")),
    ("signed, a list", b"[]", signed(b"[]")),
    ("signed, deep", b"[" * 50_000, signed(b"[" * 50_000)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "headers"), BAD, ids=[row[0] for row in BAD])
async def test_what_is_not_signed_for_us_leaves_nothing_but_a_count(
    door: tuple[Place, httpx2.AsyncClient], name: str, body: bytes, headers: dict[str, str]
) -> None:
    place, client = door
    answer = await client.post(URL, content=body, headers=headers)
    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "bad-signature"
    assert SECRET not in answer.text
    assert rows(place) == []
    assert (await client.get("/readyz")).json()["webhooks"] == {"received": 0, "refused": 1}


GOOD: list[tuple[str, bytes, dict[str, str]]] = [
    ("as it comes", BODY, signed(BODY)),
    ("the other secret", BODY, signed(BODY, secret=OTHER)),
    ("one of two is valid", BODY, changed(webhook_signature=f"v1,AAAA {SIGNATURE}")),
    ("without the version", BODY, changed(webhook_signature=SIGNATURE.removeprefix("v1,"))),
    ("five minutes old", BODY, old(300)),
    ("five minutes early", BODY, old(-300)),
    ("an unheard-of type", event("resp_1", "response.gremlins"), signed(event("resp_1", "response.gremlins"))),
    ("about something else", event("vs_1", "vector.done"), signed(event("vs_1", "vector.done"))),
    ("without data", b'{"type": 5}', signed(b'{"type": 5}')),
    ("a run that no path can name", event("resp 1"), signed(event("resp 1"))),
    ("NUL in the type", event("resp_1", "response.\x00"), signed(event("resp_1", "response.\x00"))),
    ("a lone surrogate", b'{"type": "\\ud800"}', signed(b'{"type": "\\ud800"}')),
    ("a long id", BODY, signed(BODY, "wh_" + "x" * 3000)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "body", "headers"), GOOD, ids=[row[0] for row in GOOD])
async def test_what_is_signed_is_stored_once_and_then_answered(
    door: tuple[Place, httpx2.AsyncClient], name: str, body: bytes, headers: dict[str, str]
) -> None:
    place, client = door
    for _ in range(3):
        assert (await client.post(URL, content=body, headers=headers)).status_code == 204
    (row,) = rows(place)
    about_a_run = row["response_id"] == "resp_1"
    assert row["body"] == (None if row["type"] == "response.completed" else body.decode())
    assert (row["state"], row["due_at"] is not None) == (("new", True) if about_a_run else ("foreign", False))
    assert place.simulator.world.stats()["retrieves"] == 0


async def test_of_a_long_event_of_an_unheard_of_type_the_beginning_is_kept(
    door: tuple[Place, httpx2.AsyncClient],
) -> None:
    place, client = door
    long = event("resp_1", "response.gremlins", more="é" * 9_000)
    assert (await client.post(URL, content=long, headers=signed(long))).status_code == 204
    raw = long.replace(b"\\u00e9", "\u00e9".encode())
    assert (await client.post(URL, content=raw, headers=signed(raw, "wh_2"))).status_code == 204
    assert [row["body"] for row in rows(place)] == [long.decode()[:16_000], raw.decode()]


@pytest.mark.parametrize(
    ("more", "is_kept"),
    [
        ({"attempt": 2}, True),
        ({"data": {"id": "resp_1", "usage": {"tokens": 3}}}, True),
        ({"data": ["resp_1"]}, True),
        ({"data": {"id": "resp_1"}}, False),
    ],
)
async def test_an_event_of_a_known_type_that_says_more_is_kept_as_it_was_sent(
    door: tuple[Place, httpx2.AsyncClient], more: dict[str, Any], is_kept: bool
) -> None:
    place, client = door
    body = event("resp_1", **more)
    assert (await client.post(URL, content=body, headers=signed(body))).status_code == 204
    assert [row["body"] for row in rows(place)] == [body.decode() if is_kept else None]
    # Its type is not among those that nobody here knows.
    assert await place.service.store.read(lambda tx: tx.unknown_types(9)) == []


async def test_no_secret_no_door(place: Place) -> None:
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
        assert (await client.post(URL, content=BODY, headers=signed(BODY))).status_code == 404
        assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_encoded_large_and_endless_bodies_are_refused_while_they_are_read(
    door: tuple[Place, httpx2.AsyncClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, client = door
    packed = gzip.compress(BODY)
    for encoding in ("gzip", "br", "identity, gzip"):
        headers = {**signed(packed), "content-encoding": encoding}
        assert (await client.post(URL, content=packed, headers=headers)).status_code == 400
    plain = {**signed(BODY), "content-encoding": "gzip"}
    assert (await client.post(URL, content=BODY, headers=plain)).status_code == 400
    large = event("resp_1", more="x" * 70_000)
    assert (await client.post(URL, content=large, headers=signed(large))).status_code == 413
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1000
            yield b" " * 1000

    assert (await client.post(URL, content=endless(), headers=signed(BODY))).status_code == 413
    assert read <= 66_000 + LINGER_BYTES
    monkeypatch.setattr(hooks, "_SECONDS_TO_READ", 0.05)

    async def silent() -> AsyncIterator[bytes]:
        yield BODY[:10]
        await asyncio.Event().wait()

    assert (await client.post(URL, content=silent(), headers=signed(BODY))).status_code == 400
    assert (await client.get("/readyz")).json()["webhooks"] == {"received": 0, "refused": 7}
    assert rows(place) == []


async def test_a_sender_that_goes_away_is_only_counted(door: tuple[Place, httpx2.AsyncClient]) -> None:
    place, _ = door
    app, sent = place.app(), list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": URL, "raw_path": URL.encode(), "query_string": b"",
             "headers": [], "http_version": "1.1", "scheme": "http", "server": ("x", 80)}  # fmt: skip
    await app(scope, receive, send)
    assert sent[0]["status"] == 400
    assert app.state.context.traffic.refused == 1


def test_a_route_needs_a_guard_whatever_its_path(place: Place) -> None:
    app = place.app()
    assert unguarded(app) == []
    loose = APIRouter(prefix="/v1")
    loose.add_api_route("/providers/openai/other", lambda: None, methods=["POST"])
    loose.add_api_route(
        "/providers/openai/signed", lambda: None, methods=["POST"], dependencies=[Depends(hooks.Signed())]
    )
    app.include_router(loose)
    assert unguarded(app) == ["['POST'] /v1/providers/openai/other"]


@pytest.mark.parametrize("secret", ["whsec_", "whsec_a", "  whsec_===", f"{SECRET} whsec_b"])
def test_a_secret_that_signs_nothing_stops_the_start(tmp_path: Path, simulator: Running, secret: str) -> None:
    with pytest.raises(SettingsError, match="OPENAI_WEBHOOK_SECRET") as refused:
        build(settings_for(tmp_path, simulator, openai_webhook_secret=secret), types=small_app())
    assert SECRET not in str(refused.value)


def test_secrets_are_several_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", f" {SECRET},{OTHER}\n plain ")
    found = load_settings()
    assert found.webhook_secrets() == (SECRET, OTHER, "plain")
    assert SECRET not in repr(found)


def test_an_event_goes_to_each_account_whose_secret_signed_it() -> None:
    headers = {name.title(): value for name, value in signed(BODY).items()}
    both = Door({"a": [SECRET], "b": [OTHER], "c": [OTHER, SECRET], "d": []})
    found = both.notices(BODY, headers, NOW * 1000)
    assert [(one.account, one.webhook_id, one.response_id) for one in found] == [
        ("a", "wh_1", "resp_1"),
        ("c", "wh_1", "resp_1"),
    ]


def test_the_recorded_deliveries_are_genuine() -> None:
    whole = json.loads((Path(__file__).parents[1] / "samples" / "webhooks.json").read_text())
    for one in whole["deliveries"]:
        body, at = one["body"].encode(), int(one["headers"]["webhook-timestamp"]) * 1000
        assert is_genuine(body, one["headers"], [signing_key(whole["secret"])], at)
        named = json.loads(body)
        assert read_event(body) == (
            named["type"],
            named["data"]["id"] if named["type"].startswith("response.") else None,
            named["type"] not in EVENT_TYPES,
        )


def sdk_says(body: bytes, headers: dict[str, str], secret: str) -> bool:
    client = openai.OpenAI(api_key="none", base_url="http://127.0.0.1:9")
    try:
        with patch("openai.lib._webhooks.time.time", lambda: float(NOW)):
            client.webhooks.verify_signature(body, headers, secret=secret)
    except (openai.InvalidWebhookSignatureError, ValueError):
        return False
    return True


SECRETS = st.sampled_from([SECRET, OTHER, "plain words", "whsec_" + base64.b64encode(b"k").decode()])


@given(
    body=st.text(max_size=40).map(lambda text: text.encode(errors="replace")) | st.just(BODY),
    used=SECRETS,
    ours=SECRETS,
    age=st.integers(-302, 302) | st.integers(-10_000, 10_000),
    shape=st.sampled_from(
        [
            "v1,{}",
            "{}",
            "v1,AAAA {}",
            "v1,{} v2,x",
            "v2,{}",
            "v1,{}x",
            "",
            "v1,",
            "v1, {}",
            "{} {}",
            "é v1,{}",
        ]
    ),
    spoil=st.sampled_from(["", "body", "id", "webhook-id", "webhook-timestamp", "webhook-signature"]),
)
def test_it_agrees_with_the_official_client(
    body: bytes, used: str, ours: str, age: int, shape: str, spoil: str
) -> None:
    at = NOW - age
    headers = {
        "webhook-id": "wh_1",
        "webhook-timestamp": str(at),
        "webhook-signature": shape.replace("{}", signature(body, "wh_1", at, used)),
    }
    if spoil == "body":
        body += b" "
    elif spoil == "id":
        headers["webhook-id"] = "wh_2"
    else:
        headers.pop(spoil, None)
    try:
        theirs = sdk_says(body, headers, ours)
    except TypeError:  # theirs cannot compare a signature that is not ASCII
        theirs = is_genuine(body, headers, [signing_key(ours)], NOW * 1000)
    assert is_genuine(body, headers, [signing_key(ours)], NOW * 1000) is theirs

"""No request, however shaped, ends in a 5xx: every route of our own description, every role, made-up values."""

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.release.kinds import canary_app
from tests.release.lives import People, lead
from tests.release.probe import Answer, ask
from tests.release.test_canaries import known_of

ROLES = ("submitter", "reviewer", "support", "operator", "admin", "nobody")
_WORDS = [
    "approve",
    "reject",
    "request_changes",
    "run_again",
    "attach",
    "happened",
    "open",
    "closed",
    "sha256:0",
]
# Lone surrogates and NUL too: JSON can say them, no database can hold them.
_ODD = ["\ud800", "ok\udc80", "a\x00b", "\r\n\r\n", "x" * 20_001, "", " ", "\u202e", "1e999"]
_TEXTS = st.one_of(st.text(max_size=40), st.sampled_from(_ODD))
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    _TEXTS,
    st.sampled_from(_WORDS),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
_QUERIES = (
    "after",
    "limit",
    "cursor",
    "reason",
    "q",
    "state",
    "kind",
    "role",
    "job",
    "mine",
    "status",
    "actor",
    "x",
)


def shaped(schema: dict[str, Any]) -> Any:
    """Mostly values that a field takes, of its own kind; sometimes anything."""
    if "anyOf" in schema:
        return st.one_of([shaped(one) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    kinds: dict[str, Any] = {"string": _TEXTS, "boolean": st.booleans(), "integer": st.integers(0, 100)}
    kinds["object"] = st.dictionaries(st.sampled_from(["text", "order", "status"]), _TEXTS, max_size=2)
    kinds["array"] = st.lists(_TEXTS, max_size=3)
    return st.one_of(kinds.get(schema.get("type", ""), _VALUES), _VALUES)


class Door:
    """The application with jobs in it, and a credential for each role."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, place: Place, known: Any, keys: dict[str, str]
    ) -> None:
        self.loop, self.app, self.known, self.keys = loop, place.app(), known, keys
        self.routes = [
            (method.upper(), path, self._fields(operation))
            for path, methods in self.app.openapi()["paths"].items()
            for method, operation in methods.items()
        ]

    def _fields(self, operation: dict[str, Any]) -> Any:
        """What a body of this route may look like: of the right shape, with anything in it."""
        content = operation.get("requestBody", {}).get("content", {})
        schema = content.get("application/json", {}).get("schema", {})
        fields = {name: shaped(one) for name, one in schema.get("properties", {"reason": {}}).items()}
        needed = {name: fields.pop(name) for name in schema.get("required", []) if name in fields}
        return st.fixed_dictionaries(needed, optional=fields)

    def send(self, method: str, path: str, role: str, body: bytes) -> Answer:
        headers = {"Content-Type": "application/json"}
        if role != "nobody":
            headers["Authorization"] = f"Bearer {self.keys[role]}"
        return self.loop.run_until_complete(ask(self.app, method, path, headers, body))


@pytest.fixture
def door(tmp_path: Path, simulator: Running) -> Any:
    loop = asyncio.new_event_loop()
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=canary_app(tmp_path), log=lambda line: None)
    place = Place(service, simulator, chosen)

    async def prepared() -> Door:
        await service.start_worker()
        life = await lead(place, People(place), "effect", "pending")
        await lead(place, People(place), "draft", "rejected")
        known = await known_of(place, life)
        keys = {role: await place.key(f"{role}-person", role) for role in ROLES if role != "nobody"}
        return Door(loop, place, known, keys)

    yield loop.run_until_complete(prepared())
    loop.run_until_complete(service.drain(grace=5))
    loop.close()


@st.composite
def requests(draw: Any, routes: list[Any], ids: dict[str, list[str]]) -> tuple[str, str, str, bytes]:
    method, path, fields = draw(st.sampled_from(routes))
    while "{" in path:
        name = path.partition("{")[2].partition("}")[0]
        real = ids.get(name, ["background"])
        known = st.sampled_from(real)
        one = draw(st.one_of(known, known, known, st.text(min_size=1, max_size=30)))
        path = path.replace(f"{{{name}}}", quote(one, safe=""), 1)
    asked = draw(st.dictionaries(st.sampled_from(_QUERIES), st.text(max_size=20), max_size=2))
    if asked:
        path += "?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items())
    value = draw(st.one_of(fields, fields, fields, _VALUES))
    written = json.dumps(value).encode()
    return (
        method,
        path,
        draw(st.sampled_from((*ROLES, "admin", "operator", "admin"))),
        draw(st.sampled_from([written] * 6 + [written[:-1], b"\xff"])),
    )


def test_no_request_ends_in_a_5xx(door: Door) -> None:
    routes = [one for one in door.routes if one[1] not in ("/readyz", "/healthz")]

    @settings(
        max_examples=2500,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        derandomize=True,
        database=None,
    )
    @given(requests(routes, door.known.ids))
    def sent(request: tuple[str, str, str, bytes]) -> None:
        answer = door.send(*request)
        assert answer.status < 500, answer.text()
        kind = dict(answer.headers).get("content-type", "")
        if answer.status >= 400 and answer.status != 416:
            assert kind == "application/problem+json", (request, answer.text())
            assert json.loads(answer.body)["code"]

    sent()

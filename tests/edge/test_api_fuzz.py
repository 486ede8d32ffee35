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
_TEXTS = st.text(st.characters(exclude_categories=()), max_size=40)
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

    def _fields(self, operation: dict[str, Any]) -> list[str]:
        content = operation.get("requestBody", {}).get("content", {})
        return sorted(content.get("application/json", {}).get("schema", {}).get("properties", {}))

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
        one = draw(st.one_of(st.sampled_from(real), st.text(min_size=1, max_size=30)))
        path = path.replace(f"{{{name}}}", quote(one, safe=""), 1)
    asked = draw(st.dictionaries(st.sampled_from(_QUERIES), st.text(max_size=20), max_size=2))
    if asked:
        path += "?" + "&".join(f"{name}={quote(value)}" for name, value in asked.items())
    shaped = st.dictionaries(st.sampled_from(fields or ["reason"]), _VALUES, max_size=6)
    value = draw(st.one_of(shaped, shaped, shaped, _VALUES))
    written = json.dumps(value).encode()
    return (
        method,
        path,
        draw(st.sampled_from(ROLES)),
        draw(st.sampled_from([written, written, written[:-1], b"\xff"])),
    )


def test_no_request_ends_in_a_5xx(door: Door) -> None:
    routes = [one for one in door.routes if one[1] not in ("/readyz", "/healthz")]

    @settings(
        max_examples=1500,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
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

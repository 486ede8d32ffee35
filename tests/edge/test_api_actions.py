"""The routes of actions over HTTP: who may, what is out of sight, what is refused."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from tests.conftest import Place
from tests.story.acting import acting, approve, asked_for, world
from tests.story.action_types import World

__all__ = ["acting", "world"]  # fixtures
Ask = Any


@pytest.fixture
async def ask(acting: Place) -> AsyncIterator[Ask]:
    """Send a request as somebody: (role, method, path, body, workspace) -> status and body."""
    transport = httpx2.ASGITransport(app=acting.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:

        async def send(
            who: tuple[str, str], method: str, path: str, body: Any = None, workspace: str = "main"
        ) -> tuple[int, dict[str, Any]]:
            key = await acting.key(*who, workspace)
            answer = await client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})
            return answer.status_code, answer.json()

        yield send


ANA, OLGA, ADAM, RITA = ("ana", "submitter"), ("olga", "operator"), ("adam", "admin"), ("rita", "reviewer")
SUE, BOB = ("sue", "support"), ("bob", "submitter")


async def test_actions_are_read_undone_and_resolved_by_whom_they_concern(
    acting: Place, world: World, ask: Ask
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="slow-refund")
    _, view = await ask(OLGA, "GET", f"/v1/jobs/{job.id}")
    path = f"/v1/actions/{view['actions'][0]['id']}"
    for who, closed in ((ANA, True), (RITA, False), (OLGA, False), (ADAM, False)):
        status, action = await ask(who, "GET", path)
        assert (status, action["object"], action["arguments"] is None) == (200, "action", closed), who
    nowhere = await ask(BOB, "GET", "/v1/actions/act_nowhere")
    assert nowhere[0] == 404
    assert await ask(BOB, "GET", path) == nowhere
    assert await ask(("eve", "admin"), "GET", path, workspace="other") == nowhere
    assert await ask(BOB, "POST", f"{path}/undo", {}) == nowhere
    assert (await ask(OLGA, "POST", f"{path}/undo", {}))[0] == 409
    await approve(acting, review)
    assert (await ask(SUE, "POST", f"{path}/undo", {}))[0] == 403
    for who, status in ((ANA, 403), (RITA, 403), (OLGA, 409), (ADAM, 409)):
        assert (await ask(who, "POST", f"{path}/resolve", {"outcome": "happened"}))[0] == status
    assert (await ask(OLGA, "POST", f"{path}/resolve", {"outcome": "maybe"}))[0] == 422
    assert (await ask(ANA, "POST", f"{path}/undo", {"force": True}))[0] == 422
    status, action = await ask(ANA, "POST", f"{path}/undo", {"reason": "wrong one"})
    assert (status, action["state"]) == (200, "undone")
    assert world.calls == []


async def test_operators_stop_actions_and_only_admins_allow_them_again(acting: Place, ask: Ask) -> None:
    for who in (ANA, RITA, SUE):
        assert (await ask(who, "POST", "/v1/actions/stop", {}))[0] == 403
    status, switch = await ask(OLGA, "POST", "/v1/actions/stop", {"reason": "an incident"})
    assert (status, switch["stopped"]) == (200, True)
    assert (await ask(OLGA, "POST", "/v1/actions/allow", {}))[0] == 403
    assert (await ask(ANA, "GET", "/v1/actions/switch"))[1]["stopped"] is True
    assert (await ask(("eve", "admin"), "GET", "/v1/actions/switch", workspace="other"))[1][
        "stopped"
    ] is False
    assert (await ask(ADAM, "POST", "/v1/actions/allow"))[1] == {"stopped": False, "stopped_at": None}

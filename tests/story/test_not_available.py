"""What this version cannot run is refused at the door with the reason, never half run."""

import httpx2
import pytest
from pydantic import BaseModel

from backlane import App, Request
from backlane.core.storage import Search
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.values import Note, a_request


class Money(BaseModel):
    cents: int


def app_with_parts() -> App:
    app = App()

    @app.job("with-action", authority="external_effect")
    def with_action(inputs: Note) -> Request:
        return a_request(inputs)

    @with_action.action(undo="0s", timeout="30s")
    async def pay(args: Money, *, key: str) -> Money:
        return args

    @app.job("by-batch", authority="read_only", lanes=["batch"])
    def by_batch(inputs: Note) -> Request:
        return a_request(inputs)

    return app


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("with-action", "an action"),
        ("by-batch", "batch"),
    ],
)
async def test_a_part_that_cannot_run_yet_is_refused_with_its_name(
    tmp_path, simulator: Running, name: str, reason: str
) -> None:
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=app_with_parts(), log=lambda line: None)
    place = Place(service, simulator, settings)
    headers = {"Authorization": f"Bearer {await place.key()}"}
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        answer = await http.post("/v1/jobs", json={"type": name, "inputs": {"text": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-available")
    assert reason in answer.json()["detail"]
    caller = await place.caller()
    assert await service.store.read(lambda tx: tx.search(Search(workspace=caller.workspace))) == []
    await service.drain()

"""What this version cannot run is refused at the door with the reason, never half run."""

import httpx2

from backlane import App, Request
from backlane.core.storage import Search
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.values import Note, a_request


def app_of_lanes() -> App:
    app = App()

    @app.job("by-batch", authority="read_only", lanes=["batch"])
    def by_batch(inputs: Note) -> Request:
        return a_request(inputs)

    return app


async def test_a_lane_that_does_not_exist_yet_is_refused_with_its_name(tmp_path, simulator: Running) -> None:
    settings = settings_for(tmp_path, simulator)
    service = build(settings, types=app_of_lanes(), log=lambda line: None)
    place = Place(service, simulator, settings)
    headers = {"Authorization": f"Bearer {await place.key()}"}
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        answer = await http.post("/v1/jobs", json={"type": "by-batch", "inputs": {"text": "x"}})
    assert (answer.status_code, answer.json()["code"]) == (409, "not-available")
    assert "batch" in answer.json()["detail"]
    caller = await place.caller()
    assert await service.store.read(lambda tx: tx.search(Search(workspace=caller.workspace))) == []
    await service.drain()

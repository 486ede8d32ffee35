"""A service decides reviews only with a key that an admin made for that, and only as long as that key lives."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.cli.main import run
from tests.conftest import Place
from tests.story.acting import acting, asked_for, done, world
from tests.story.action_types import World
from tests.story.acts import script, seen, verified
from tests.story.asking import asking
from tests.story.test_action_races import asked_again, finished_once, let_go
from tests.story.test_keys import holding

__all__ = ["acting", "world"]  # fixtures
ROBOT = {"role": "reviewer", "name": "robot", "service": True}


async def made(place: Place, **body: Any) -> dict[str, Any]:
    """A key that an admin makes over HTTP."""
    async with asking(place, "adam", "admin") as adam:
        answer = await adam.post("/keys", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def approved(http: httpx2.AsyncClient, review: Any) -> httpx2.Response:
    body = {"decision": "approve", "payload_hash": review["payload_hash"]}
    return await http.post(f"/reviews/{review['id']}/decisions", json=body)


async def test_a_service_decides_only_with_the_key_that_says_so(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    script(acting, {"text": "Done."})
    plain, trusted = await made(acting, **ROBOT), await made(acting, **ROBOT, may_decide=True)
    async with holding(acting, plain["key"]) as robot:
        assert (await robot.get("/me")).json()["may_decide"] is False
        shown = (await robot.get(f"/reviews/{review['id']}")).json()
        assert shown["allowed"] == []
        refused = await approved(robot, review)
        assert (refused.status_code, refused.json()["code"]) == (403, "role-required")
    async with holding(acting, trusted["key"]) as robot:
        assert (await robot.get("/me")).json()["may_decide"] is True
        assert "approve" in (await robot.get(f"/reviews/{review['id']}")).json()["allowed"]
        assert (await approved(robot, review)).status_code == 201
    assert (await seen(acting, ana, job.id, done))["status"] == "completed"
    assert len(world.effects()) == 1
    async with asking(acting, "adam", "admin") as adam:
        listed = {one["id"]: one["may_decide"] for one in (await adam.get("/keys")).json()["data"]}
        assert (listed[plain["id"]], listed[trusted["id"]]) == (False, True)
        assert {listed[one] for one in listed if one not in (plain["id"], trusted["id"])} == {None}
        assert (await adam.get("/me")).json()["may_decide"] is None
        [line] = (await adam.get(f"/audit?subject={trusted['id']}")).json()["data"]
        assert (line["actor"], line["action"], line["data"]["may_decide"]) == ("adam", "key.created", True)
    verified(acting, world.log())


async def test_its_approval_does_not_stand_once_its_key_is_revoked(acting: Place, world: World) -> None:
    ana = await acting.caller()
    trusted = await made(acting, **ROBOT, may_decide=True)
    # Another key of the same service does not hold what the revoked one approved.
    await made(acting, **ROBOT)
    async with asking(acting, "adam", "admin") as adam:
        await adam.post("/actions/stop", json={})
        job, review = await asked_for(acting, ana)
        script(acting, {"text": "Done."})
        async with holding(acting, trusted["key"]) as robot:
            assert (await approved(robot, review)).status_code == 201
        await seen(acting, ana, job.id, lambda view: view["actions"][0]["state"] == "approved")
        assert (await adam.delete(f"/keys/{trusted['id']}")).status_code == 204
    await let_go(acting)
    again = await asked_again(acting, ana, job, review, "approver_gone")
    # The checker looks at who may decide now: what the robot approved led to nothing.
    await finished_once(acting, ana, job, again, world)


async def test_only_admins_allow_it_and_only_where_it_means_something(acting: Place, world: World) -> None:
    for role in ("reviewer", "operator"):
        async with asking(acting, role, role) as http:
            assert (await http.post("/keys", json={**ROBOT, "may_decide": True})).status_code == 403
    async with asking(acting, "adam", "admin") as adam:
        for wrong in ({"service": False}, {"role": "submitter"}, {"role": "operator"}):
            answer = await adam.post("/keys", json={**ROBOT, **wrong, "may_decide": True})
            assert answer.status_code == 422
            assert answer.json()["errors"][0]["pointer"] == "/may_decide"
    verified(acting, world.log())


def test_the_command_line_makes_such_a_key_and_lists_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BACKLANE_DATABASE_URL", f"sqlite:///{tmp_path}/b.db")
    monkeypatch.setenv("BACKLANE_ARTIFACTS_URL", f"file:{tmp_path}/artifacts")
    words = ["keys", "create", "--role", "reviewer", "--name", "robot", "--may-decide"]
    for given, code in ((words, 2), ([*words, "--service"], 0), (["keys", "list"], 0)):
        with pytest.raises(SystemExit) as left:
            run(given)
        assert left.value.code == code, capsys.readouterr()
    assert capsys.readouterr().out.splitlines()[-1].endswith("may decide")

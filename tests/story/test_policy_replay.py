"""A changed policy over finished jobs: what would go another way, told and nothing done; and what job types say."""

import json
import sys
from pathlib import Path
from typing import Any

import httpx2
import pytest

from backlane.cli.main import run
from backlane.core.policy import Over
from backlane.core.storage import Search
from backlane.service.read import list_jobs
from backlane.service.replay import Replayed, replay, summed_up
from tests.conftest import Place
from tests.story.acting import approve, done, reject, review_of, waits
from tests.story.action_types import World
from tests.story.acts import finished, script, seen, submitted, verified
from tests.story.commands import command
from tests.story.policed import credited, policed, redeployed, world
from tests.story.policy_types import policed_app, stricter_limits
from tests.story.test_sampling import sampled_app

__all__ = ["policed", "world"]  # fixtures


async def history(place: Place) -> None:
    """One allowed, one approved, one rejected, one refused, and an output released by its policy."""
    ana = await place.caller()
    for amount in ("1", "250", "260", "5000"):
        job = await credited(place, ana, {"amount": amount})
        if amount in ("1", "250"):
            script(place, {"text": "Done."})
        if amount in ("250", "260"):
            review = await review_of(place, await waits(place, ana, job))
            await (approve if amount == "250" else reject)(place, review)
        await seen(place, ana, job.id, done)
    script(place, {"text": json.dumps({"summary": "all is well", "themes": []})})
    await finished(place, ana, await submitted(place, ana, "policed-note"))


def rows_of(place: Place) -> list[Any]:
    """Everything that a replay might have touched."""
    tables = ("jobs", "actions", "policy_verdicts", "events", "audit")
    sql = " union all ".join(f"select '{name}', count(*) from {name}" for name in tables)
    return place.service.store.database.read_now(lambda db: [tuple(row) for row in db.exec_driver_sql(sql)])


async def replayed(place: Place, *given: Any) -> list[Replayed]:
    asked = (*given, *(None, None, 1000)[len(given) :])
    return [one async for one in replay(place.service.ports, *asked)]


async def test_the_policy_that_decided_decides_alike_in_a_replay(policed: Place, world: World) -> None:
    await history(policed)
    before = len(world.calls), rows_of(policed)
    rows = await replayed(policed)
    assert [(one.then, one.now) for one in rows] == [
        ("allowed", "allow"), ("approved", "review"), ("rejected", "review"), ("refused", "refuse"),
        ("released", "allow"),
    ]  # fmt: skip
    assert not any(one.changed for one in rows)
    assert before == (len(world.calls), rows_of(policed))
    assert len(await replayed(policed, "policed-note")) == 1
    assert len(await replayed(policed, None, None, 2)) == 2
    assert await replayed(policed, None, "ws_other") == []
    verified(policed, world.log())


async def test_a_stricter_policy_shows_what_would_have_gone_to_review(policed: Place, world: World) -> None:
    await history(policed)
    policed = await redeployed(policed, policed_app(world, stricter_limits))
    rows = await replayed(policed, "credit")
    assert summed_up(rows) == {
        "allowed": {"allow": 1}, "approved": {"review": 1}, "refused": {"review": 1}, "rejected": {"review": 1},
    }  # fmt: skip
    [changed] = [one for one in rows if one.changed]
    assert (changed.then, changed.now, changed.reason) == ("refused", "review", "the amount is over 1")
    assert len(world.calls) == 2
    await policed.service.drain(grace=5)


def test_the_command_runs_the_loaded_policies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "shop.py").write_text("from backlane import App\napp = App()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BACKLANE_DATABASE_URL", f"sqlite:///{tmp_path}/b.db")
    monkeypatch.setenv("BACKLANE_ARTIFACTS_URL", f"file:{tmp_path}/artifacts")
    for words, code in ((["policy", "replay"], 2), (["policy", "replay", "nothing"], 2)):
        with pytest.raises(SystemExit) as left:
            run(words)
        assert left.value.code == code
        monkeypatch.setenv("BACKLANE_APP", "shop:app")
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        run(["policy", "replay", "--json"])
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"data": [], "summary": {}, "judged": 0}


async def test_the_command_prints_what_would_go_another_way(
    policed: Place, world: World, tmp_path: Path
) -> None:
    await history(policed)
    ana = await policed.caller()
    before = len(world.calls), rows_of(policed)
    (tmp_path / "stricter.py").write_text(
        "from pathlib import Path\n"
        "from tests.story.action_types import World\n"
        "from tests.story.policy_types import policed_app, stricter_limits\n"
        f"app = policed_app(World(Path({str(tmp_path)!r})), stricter_limits)\n"
    )
    here = {
        "BACKLANE_DATABASE_URL": policed.settings.database_url,
        "BACKLANE_ARTIFACTS_URL": policed.settings.artifacts_url,
        "BACKLANE_APP": "stricter:app",
        "BACKLANE_SIMULATED": "1",
        "OPENAI_API_KEY": "sk-test",
    }
    sys.path.insert(0, str(tmp_path))
    try:
        told = await command(here, "policy", "replay", "credit")
        [line] = told.out.splitlines()
        assert (told.code, line.split()[1]) == (0, "credit")
        assert line.endswith("refused → review  the amount is over 1")
        assert "allowed then: 1 allow now" in told.err
        assert "4 judged, 1 would go another way; nothing was changed" in told.err
        every = await command(here, "policy", "replay", "--every", "--workspace", "main")
        assert len(every.out.splitlines()) == 5
        assert [line.split()[4] for line in every.out.splitlines()].count("released") == 1
        assert "5 judged, 1 would go another way" in every.err
        newest = await command(here, "policy", "replay", "--every", "--limit", "1", "--json")
        shown = json.loads(newest.out)
        assert [(one["type"], one["changed"]) for one in shown["data"]] == [("policed-note", False)]
        await policed.caller("eve", "admin", "other")
        elsewhere = await command(here, "policy", "replay", "--every", "--workspace", "other")
        assert (elsewhere.code, elsewhere.out) == (0, "")
        assert "0 judged, 0 would go another way; nothing was changed" in elsewhere.err
        unknown = await command(here, "policy", "replay", "--workspace", "nowhere")
        assert (unknown.code, unknown.out) == (2, "")
        assert "there is no workspace 'nowhere'; known: main, other" in unknown.err
    finally:
        sys.path.remove(str(tmp_path))
    jobs = {one["id"] for one in (await read_jobs(policed, ana))}
    assert {line.split()[0] for line in every.out.splitlines()} <= jobs
    assert (before[0], before[1][:3]) == (len(world.calls), rows_of(policed)[:3])
    verified(policed, world.log())


async def read_jobs(place: Place, caller: Any) -> list[dict[str, Any]]:
    return (await list_jobs(place.service.ports, caller, Search(workspace=""), None, b"s"))["data"]


async def test_job_types_tell_what_controls_them(policed: Place, world: World) -> None:
    headers = {"Authorization": f"Bearer {await policed.key()}"}

    async def asked(place: Place, path: str) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=place.app())
        async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
            return await http.get(path)

    credit = (await asked(policed, "/v1/job-types/credit")).json()
    known = policed.service.ports.types.get("credit")
    assert known is not None
    version = known.rules.version(Over.ACTION)
    policy = {"version": version, "policies": ["limits"]}
    assert credit["controls"]["policy"] == {"action": policy, "output": None}
    assert (credit["authority"], credit["inputs"]["type"]) == ("low_risk_write", "object")
    listed = (await asked(policed, "/v1/job-types")).json()["data"]
    assert credit in listed and len(listed) == 14
    assert (await asked(policed, "/v1/job-types/none")).status_code == 404
    policed = await redeployed(policed, sampled_app())
    draft = (await asked(policed, "/v1/job-types/sampled-draft")).json()["controls"]
    assert draft["sampled"] < 0.1
    assert draft["unreviewed_because"].startswith("a print shop")
    await policed.service.drain(grace=5)

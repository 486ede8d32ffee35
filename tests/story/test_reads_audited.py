"""Every answer that shows others what an action would do is one line of the audit log, and no more than one."""

from typing import Any

from backlane.service.make_key import make_key
from tests.conftest import Place
from tests.story.acting import acting, asked_for, world
from tests.story.action_types import World
from tests.story.acts import finished, submitted, verified
from tests.story.asking import asking

__all__ = ["acting", "world"]  # fixtures
READS = ("job.read", "jobs.read", "reviews.read", "review.read", "action.read")


async def reads(place: Place) -> list[tuple[str, str, str]]:
    """Who read what, oldest first."""
    async with asking(place, "root", "admin") as root:
        lines = (await root.get("/audit?limit=200")).json()["data"]
    return [(one["actor"], one["action"], one["subject"]) for one in lines if one["action"] in READS]


async def lines_of(place: Place, action: str) -> list[dict[str, Any]]:
    async with asking(place, "root", "admin") as root:
        return (await root.get(f"/audit?limit=200&action={action}")).json()["data"]


async def test_whoever_reads_what_anothers_action_would_do_is_on_record(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana)
    await asked_for(acting, ana)
    before = len(await reads(acting))
    workspace = ana.workspace
    async with asking(acting, "rita", "reviewer") as rita, asking(acting, "olga", "operator") as olga:
        view = (await olga.get(f"/jobs/{job.id}")).json()
        action = view["actions"][0]
        assert action["arguments"]["order"] == "o-17"
        tag = {"If-None-Match": (await olga.get(f"/jobs/{job.id}")).headers["etag"]}
        assert (await olga.get(f"/jobs/{job.id}", headers=tag)).status_code == 304
        assert len((await rita.get("/reviews")).json()["data"]) == 2
        assert len((await olga.get("/jobs")).json()["data"]) == 2
        await rita.get(f"/reviews/{review['id']}")
        await olga.get(f"/actions/{action['id']}")
    assert (await reads(acting))[before:] == [
        ("olga", "job.read", job.id), ("olga", "job.read", job.id), ("rita", "reviews.read", workspace),
        ("olga", "jobs.read", workspace), ("rita", "review.read", review["id"]), ("olga", "action.read", action["id"]),
    ]  # fmt: skip
    for name in ("reviews.read", "jobs.read"):
        [line] = await lines_of(acting, name)
        assert len(line["data"]["jobs"]) == 2 and job.id in line["data"]["jobs"]
        assert "o-17" not in str(line)
    verified(acting, world.log())


async def test_reads_that_show_nothing_of_others_are_no_lines(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, _ = await asked_for(acting, ana)
    before = len(await reads(acting))
    async with (
        asking(acting) as own,
        asking(acting, "ana", "reviewer") as also,
        asking(acting, "sue", "support") as sue,
    ):
        for http in (own, also, sue):
            shown = (await http.get(f"/jobs/{job.id}")).json()
            assert shown["actions"][0]["arguments"] is None
            await http.get("/jobs")
        assert all(one["payload"] is None for one in (await also.get("/reviews")).json()["data"])
        assert len(await reads(acting)) == before
        shown = (await sue.get(f"/jobs/{job.id}?reason=the+customer+rang")).json()
        assert shown["actions"][0]["arguments"] is not None
    [line] = await lines_of(acting, "job.read")
    assert (line["actor"], line["data"]["reason"]) == ("sue", "the customer rang")
    verified(acting, world.log())


async def test_a_case_that_is_changed_and_a_token_that_is_minted_are_lines(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with asking(working, "sue", "support") as sue:
        case = (await sue.post("/cases", json={"job": job["id"], "reason": "it rang"})).json()["id"]
        await sue.patch(f"/cases/{case}", json={"owner": "sue"})
        await sue.patch(f"/cases/{case}", json={"owner": "sue"})
    [line] = await lines_of(working, "case.change")
    assert (line["actor"], line["subject"], line["data"]["owner"]) == ("sue", case, "sue")
    ports = working.service.ports
    made = await working.service.store.write(
        lambda tx: make_key(
            tx, ports, b"p" * 23, role="submitter", workspace="main", name="portal", service=True
        )
    )
    async with asking(working) as http:
        http.headers["Authorization"] = f"Bearer {made.key}"
        assert (await http.post("/tokens", json={"user": "una"})).status_code == 201
    [line] = await lines_of(working, "token.minted")
    assert (line["actor"], line["subject"], line["data"]["user"]) == ("portal", made.id, "una")
    verified(working)

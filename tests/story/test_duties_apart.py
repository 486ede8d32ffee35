"""Duties stay apart where work is asked for again: who writes the inputs is who asked, and never who approves."""

from tests.conftest import Place
from tests.story.acting import acting, asked_for, done, world
from tests.story.action_types import World
from tests.story.acts import seen, verified
from tests.story.asking import asking

__all__ = ["acting", "world"]
OTHER = {"inputs": {"text": "Pay the order o-99 back, all of it."}}


async def test_nobody_writes_the_inputs_of_anothers_job_and_then_approves_it(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, _ = await asked_for(acting, ana)
    async with asking(acting) as mine, asking(acting, "root", "admin") as root:
        async with asking(acting, "olga", "operator") as olga:
            await mine.post(f"/jobs/{job.id}/cancel")
            for other in (root, olga):
                refused = await other.post(f"/jobs/{job.id}/retry", json=OTHER)
                assert (refused.status_code, refused.json()["code"]) == (403, "role-required")
                assert "who asked for a job may give other inputs" in refused.json()["detail"]
        assert (await mine.get(f"/jobs/{job.id}")).json()["retried_as"] is None
        # The same inputs once more are anybody's to ask for who may retry; they stay the requester's.
        again = await root.post(f"/jobs/{job.id}/retry")
        assert (again.status_code, again.json()["submitted_by"]) == (202, "ana")
        same = (await root.get(f"/jobs/{again.json()['id']}/inputs")).json()
        assert same == (await root.get(f"/jobs/{job.id}/inputs")).json()
        # An answer to a job that was retried already is no way around it.
        assert (await root.post(f"/jobs/{job.id}/retry", json=OTHER)).status_code == 403
    await seen(acting, ana, again.json()["id"], lambda view: done(view) or view["status"] == "needs_review")
    assert world.orders() == []
    verified(acting, world.log())


async def test_the_requester_retries_with_other_inputs_and_still_decides_nothing(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, _ = await asked_for(acting, ana)
    async with asking(acting) as mine, asking(acting, "ana", "admin") as ana_as_admin:
        await mine.post(f"/jobs/{job.id}/cancel")
        made = await ana_as_admin.post(f"/jobs/{job.id}/retry", json=OTHER)
        assert (made.status_code, made.json()["submitted_by"]) == (202, "ana")
        given = (await ana_as_admin.get(f"/jobs/{made.json()['id']}/inputs")).json()
        assert given["text"] == OTHER["inputs"]["text"]
        view = await seen(acting, ana, made.json()["id"], lambda view: view["status"] == "needs_review")
        path = f"/reviews/{view['review']['id']}"
        shown = (await ana_as_admin.get(path)).json()
        body = {"decision": "approve", "payload_hash": shown["payload_hash"] or "closed"}
        refused = await ana_as_admin.post(f"{path}/decisions", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "separation-of-duties")
    verified(acting, world.log())

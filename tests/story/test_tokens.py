"""An end user's token reads, cancels and retries; of reviews, actions, cases and marks it decides nothing."""

from tests.conftest import Place
from tests.story.acting import acting, approve, as_seen_by_olga, proposes, review_of, waits, world
from tests.story.action_types import World
from tests.story.acts import verified
from tests.story.asking import asking
from tests.story.test_keys import holding, minted, raw, service_of, submitted_for

__all__ = ["acting", "world"]  # fixtures
REFUND = {"order": "o-17", "amount": "12.50"}


async def test_a_token_takes_no_action_back_and_is_not_told_that_it_could(
    acting: Place, world: World
) -> None:
    proposes(acting, REFUND, name="issue_refund")
    async with holding(acting, await service_of(acting)) as portal:
        job = await submitted_for(portal, "una", "slow-refund")
        token = await minted(portal, user="una")
        view = await waits(acting, await acting.caller("olga", "operator"), await raw(acting, job))
        review = await review_of(acting, view)
        await approve(acting, review)
        path = f"/actions/{view['actions'][0]['id']}"
        async with holding(acting, token) as una, asking(acting, "eve") as eve:
            assert (await una.get(path)).json()["state"] == "approved"
            assert (await una.get(path)).json()["allowed"] == []
            assert [one["allowed"] for one in (await una.get(f"/jobs/{job}")).json()["actions"]] == [[]]
            refused = await una.post(f"{path}/undo", json={"reason": "no"})
            assert (refused.status_code, refused.json()["code"]) == (403, "role-required")
            assert (await eve.post(f"{path}/undo", json={})).status_code == 404, "nobody's token is as before"
            assert (await as_seen_by_olga(acting, await raw(acting, job)))["status"] == "running"
            body = {"outcome": "happened"}
            for other, given in (
                (f"{path}/resolve", body),
                ("/actions/stop", {}),
                ("/actions/allow", {}),
                (f"/reviews/{review['id']}/claim", {}),
                (f"/reviews/{review['id']}/release-claim", {}),
                (f"/jobs/{job}/hold", {}),
                (f"/jobs/{job}/sensitive", {}),
                (f"/jobs/{job}/messages", {"text": "go on"}),
                (f"/jobs/{job}/resolve", {"choice": "give_up"}),
            ):
                answer = await una.post(other, json=given)
                assert (answer.status_code, answer.json()["code"]) == (403, "role-required"), other
        # The service whose job it is may.
        assert (await portal.get(path)).json()["allowed"] == ["undo"]
        assert (await portal.post(f"{path}/undo", json={})).json()["state"] == "undone"
    assert world.calls == []
    verified(acting, world.log())

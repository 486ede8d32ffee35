"""Escalating what nobody is asked about yet: an expiry becomes a case, what nobody can know is put before operators."""

from tests.conftest import Place
from tests.story.acting import REFUND, acting, approve, asked_for, done, waits, world
from tests.story.action_types import World
from tests.story.acts import events_of, fault, finished, script, seen, submitted, verified
from tests.story.asking import asking
from tests.story.test_control_verbs import flagged

__all__ = ["acting", "world"]  # fixtures


async def test_escalating_what_expired_opens_a_case_with_an_owner(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 100}, times=None)
    job = await submitted(working, ana, "short")
    view = await seen(working, ana, job.id, lambda one: one["status"] == "expired")
    assert (view["case"], "escalate" in view["allowed"]) == (None, True)
    async with asking(working) as mine, asking(working, "sue", "support") as sue:
        told = await mine.post(f"/jobs/{job.id}/escalate", json={"reason": "due today", "to": "sue"})
        assert (told.status_code, told.json()["status"]) == (200, "expired")
        case = (await sue.get(f"/cases/{told.json()['case']}")).json()
        assert (case["owner"], case["opened_by"], case["state"]) == ("sue", "ana", "open")
        assert (case["job"], case["job_status"]) == (job.id, "expired")
        # Asking again is the same case.
        again = await mine.post(f"/jobs/{job.id}/escalate", json={"reason": "still due"})
        assert again.json()["case"] == case["id"]
        assert len((await sue.get("/cases?state=open")).json()["data"]) == 1
        refused = await sue.post(f"/jobs/{job.id}/escalate", json={"reason": "please"})
        assert (refused.status_code, refused.json()["code"]) == (403, "role-required")
    kinds = [event["type"] for event in await events_of(working, ana, job.id)]
    assert kinds[-3:] == ["case.opened", "job.escalated", "job.escalated"]
    verified(working)


async def test_escalating_an_unknown_submission_tells_operators_and_settles_nothing(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply")
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["status"], view["phase"]) == ("needs_review", "submission_unknown")
    job, review = view["id"], view["review"]
    async with asking(working) as mine, asking(working, "olga", "operator") as olga:
        for http in (mine, olga):
            told = await http.post(f"/jobs/{job}/escalate", json={"reason": "it may have been paid for"})
            assert told.status_code == 200, told.text
            body = told.json()
            assert (body["phase"], body["case"], body["review"]) == ("submission_unknown", None, review)
        assert await flagged(working, job)
        events = [one for one in await events_of(working, ana, job) if one["type"] == "job.escalated"]
        assert [(one["actor"], one["data"]["role"]) for one in events] == [
            ("ana", "operator"),
            ("olga", "operator"),
        ]
        gave_up = await olga.post(f"/jobs/{job}/resolve", json={"choice": "give_up"})
        assert gave_up.json()["status"] == "failed"
    assert not await flagged(working, job)
    verified(working)


async def test_escalating_an_unknown_effect_tells_operators_and_dispatches_nothing(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, {**REFUND, "how": "hangs-after"}, type_name="blind")
    await approve(acting, review)
    view = await waits(acting, ana, job, "effect_unknown")
    calls = list(world.calls)
    async with asking(acting) as mine, asking(acting, "olga", "operator") as olga:
        told = await mine.post(f"/jobs/{job.id}/escalate", json={"reason": "was it paid out?"})
        assert told.status_code == 200, told.text
        assert (told.json()["phase"], told.json()["review"]) == ("effect_unknown", view["review"])
        assert await flagged(acting, job.id)
        named = await olga.post(f"/jobs/{job.id}/escalate", json={"reason": "paul knows", "to": "paul"})
        assert named.status_code == 200, named.text
        [*_, last] = [one for one in await events_of(acting, ana, job.id) if one["type"] == "job.escalated"]
        assert (last["actor"], last["data"]["role"]) == ("olga", "operator")
        script(acting, {"text": "Done."})
        [action] = (await olga.get(f"/jobs/{job.id}")).json()["actions"]
        settled = {"outcome": "happened", "notes": "it is in the bank's list"}
        assert (await olga.post(f"/actions/{action['id']}/resolve", json=settled)).status_code == 200
        await seen(acting, ana, job.id, done)
    assert world.calls == calls
    assert not await flagged(acting, job.id)
    verified(acting, world.log())

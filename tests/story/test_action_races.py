"""Approvals that do not stand any more, and races around a dispatch: no bytes leave but those approved, and once."""

import asyncio
import json
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.errors import AlreadyDecided, NotAllowed, NotFound, Refusal, StalePayload
from backlane.outbound.folder import ArtifactFolder
from backlane.service import control
from backlane.service.access import Caller
from backlane.service.control_actions import allow_actions, resolve_action, stop_actions
from backlane.service.decide import Decided, decide
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from tests.conftest import Place
from tests.story.acting import (
    REFUND,
    acting,
    approve,
    as_seen_by_olga,
    asked_for,
    done,
    reject,
    review_of,
    waits,
    world,
)
from tests.story.action_types import World
from tests.story.acts import events_of, script, seen, verified

__all__ = ["acting", "world"]  # fixtures


def tamper(place: Place, statement: str, *values: Any) -> None:
    """Somebody writes into the database itself."""
    place.service.store.database.write_now(
        lambda connection: connection.exec_driver_sql(statement, values) and None
    )


async def stopped(place: Place, ana: Caller, *arguments: dict[str, Any], **more: Any) -> tuple[Job, Any]:
    """A job whose action is approved and waits only for the kill switch."""
    adam = await place.caller("adam", "admin")
    await stop_actions(place.service.ports, adam, None)
    job, review = await asked_for(place, ana, *arguments, **more)
    script(place, {"text": "Done."})
    await approve(place, review)
    await seen(place, ana, job.id, lambda view: view["actions"][0]["state"] == "approved")
    return job, review


async def let_go(place: Place) -> None:
    """The kill switch is taken back."""
    await allow_actions(place.service.ports, await place.caller("adam", "admin"), None)


async def asked_again(place: Place, ana: Caller, job: Job, former: Any, code: str) -> Any:
    """The new review of an action whose approval does not stand, and why."""
    await seen(place, ana, job.id, lambda view: view["review"]["id"] != former["id"])
    view = await waits(place, ana, job)
    events = await events_of(place, await place.caller("olga", "operator"), job.id)
    proposed = [one["data"].get("code") for one in events if one["type"] == "action.proposed"]
    assert proposed == [None, code]
    return await review_of(place, view)


async def finished_once(place: Place, ana: Caller, job: Job, review: Any, world: World) -> dict[str, Any]:
    """The new approval leads to one effect."""
    assert world.calls == []
    await approve(place, review, await place.caller("rosa", "reviewer"))
    view = await seen(place, ana, job.id, done)
    assert (view["status"], len(world.effects())) == ("completed", 1)
    verified(place, world.log())
    return view


@pytest.mark.parametrize(
    "change", ["revoked_at = opened", "expires_at = opened", "role = 'submitter'", "role = 'operator'"]
)
async def test_an_approver_who_lost_the_role_approves_nothing_any_more(
    acting: Place, world: World, change: str
) -> None:
    ana = await acting.caller()
    job, review = await stopped(acting, ana)
    now = acting.service.ports.clock.now()
    change = change.replace("opened", str(now))
    ritas = "principal_id IN (SELECT id FROM principals WHERE name = 'rita')"
    tamper(acting, f"UPDATE keys SET {change} WHERE {ritas}")
    await let_go(acting)
    again = await asked_again(acting, ana, job, review, "approver_gone")
    assert again["payload"] == review["payload"]
    tamper(
        acting, f"UPDATE keys SET revoked_at = NULL, role = 'reviewer' WHERE {ritas}"
    )  # for what the checker sees
    await finished_once(acting, ana, job, again, world)


async def test_arguments_that_were_altered_after_the_approval_are_shown_anew(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job, review = await stopped(acting, ana)
    evil = json.dumps({"amount": "9999", "how": "plainly", "order": "evil"}, separators=(",", ":"))
    tamper(acting, "UPDATE actions SET arguments = ?", evil)
    await let_go(acting)
    again = await asked_again(acting, ana, job, review, "altered")
    assert again["payload"]["arguments"]["order"] == "evil"
    assert again["payload_hash"] != review["payload_hash"]
    await reject(acting, again)
    assert world.calls == []
    verified(acting, world.log())


async def test_an_approval_of_one_action_is_none_of_another(acting: Place, world: World) -> None:
    ana = await acting.caller()
    first, review = await asked_for(acting, ana)
    second, other = await asked_for(acting, ana)
    assert review["payload_hash"] != other["payload_hash"]
    rita = await acting.caller("rita", "reviewer")
    replayed = Decided(decision="approve", payload_hash=review["payload_hash"])
    with pytest.raises(StalePayload):
        await decide(acting.service.ports, rita, other["id"], replayed)
    await stop_actions(acting.service.ports, await acting.caller("adam", "admin"), None)
    await approve(acting, review)
    await approve(acting, other)
    tamper(acting, "UPDATE actions SET review_id = ? WHERE job_id = ?", review["id"], second.id)
    script(acting, {"text": "Done."}, times=2)
    await let_go(acting)
    await seen(acting, ana, first.id, done)
    view = await waits(acting, ana, second)
    assert view["review"]["id"] != other["id"] and len(world.calls) == 1
    await approve(acting, await review_of(acting, view))
    await seen(acting, ana, second.id, done)
    assert len(world.effects()) == 2
    verified(acting, world.log())


async def test_what_the_arguments_point_at_is_part_of_what_is_approved(acting: Place, world: World) -> None:
    ana = await acting.caller()
    world.contents["o-17"] = "the document as it was shown"
    job, review = await stopped(acting, ana, type_name="linked", name="send_document")
    assert review["payload"]["content"].startswith("sha256:")
    world.contents["o-17"] = "something else"
    await let_go(acting)
    again = await asked_again(acting, ana, job, review, "content_changed")
    assert again["payload"]["content"] != review["payload"]["content"]
    await finished_once(acting, ana, job, again, world)


async def test_of_two_reviewers_at_once_and_of_two_clicks_one_counts(acting: Place, world: World) -> None:
    ana = await acting.caller()
    rita, rosa = await acting.caller("rita", "reviewer"), await acting.caller("rosa", "reviewer")
    ports = acting.service.ports
    for decisions in (("approve", "reject"), ("approve", "approve"), ("reject", "approve")):
        before = len(world.calls)
        job, review = await asked_for(acting, ana)
        answers = [Decided(decision=one, payload_hash=review["payload_hash"]) for one in decisions]
        said = await asyncio.gather(
            *(decide(ports, who, review["id"], one) for who, one in zip((rita, rosa), answers, strict=True)),
            return_exceptions=True,
        )
        lost = [one for one in said if isinstance(one, Refusal)]
        assert len(lost) == 1 and isinstance(lost[0], AlreadyDecided | NotAllowed)
        view = await seen(acting, ana, job.id, done)
        assert len(world.calls) - before == (view["status"] == "completed")
    verified(acting, world.log())


async def test_nothing_is_canceled_or_expired_while_an_action_is_under_way(
    acting: Place, world: World
) -> None:
    ana, ports = await acting.caller(), acting.service.ports
    for kind, status in (("brief", "expired"), ("brief-end", "completed")):
        world.holds.clear()
        world.entered.clear()
        job, review = await asked_for(acting, ana, {**REFUND, "how": "held"}, type_name=kind)
        await approve(acting, review)
        await asyncio.wait_for(world.entered.wait(), 10)
        view = await as_seen_by_olga(acting, job)
        assert (view["actions"][0]["state"], "cancel" in view["allowed"]) == ("dispatching", False)
        with pytest.raises(NotAllowed):
            await control.cancel(ports, ana, job.id, None)
        while ports.clock.now() < job.useful_until + 200:
            await asyncio.sleep(0.05)
        assert (await as_seen_by_olga(acting, job))["status"] == "running"
        world.holds.set()
        view = await seen(acting, ana, job.id, done)
        whole = await as_seen_by_olga(acting, job)
        assert (view["status"], whole["actions"][0]["state"]) == (status, "succeeded")
        assert whole["outcome"]["anything_sent"] is True
    assert len(world.effects()) == 2
    verified(acting, world.log())


async def test_a_canceled_or_expired_job_never_sends_what_was_approved(acting: Place, world: World) -> None:
    ana = await acting.caller()
    job, review = await asked_for(acting, ana, type_name="slow-refund")
    await approve(acting, review)
    await control.cancel(acting.service.ports, ana, job.id, "no longer wanted")
    view = await as_seen_by_olga(acting, job)
    assert (view["status"], view["actions"][0]["state"]) == ("canceled", "undone")
    job, review = await asked_for(acting, ana, type_name="brief-delay")
    await approve(acting, review)
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], view["actions"][0]["state"], world.calls) == ("expired", "undone", [])
    verified(acting, world.log())


async def lost_lease(place: Place, job: Job, **past: int) -> None:
    """Another worker takes the job, as after a pause that was too long."""
    if past:
        tamper(
            place, "UPDATE actions SET dispatched_at = dispatched_at - ? WHERE job_id = ?", past["by"], job.id
        )
    tamper(
        place,
        "UPDATE jobs SET lease_no = lease_no + 1, lease_state = 'free', due_at = 0 WHERE id = ?",
        job.id,
    )
    place.service.ports.notify()


async def under_way(acting: Place, world: World, ana: Caller, type_name: str) -> Job:
    """A job whose approved action has been called and has not answered."""
    job, review = await asked_for(acting, ana, {**REFUND, "how": "held"}, type_name=type_name)
    script(acting, {"text": "Done."})
    await approve(acting, review)
    await asyncio.wait_for(world.entered.wait(), 10)
    return job


async def test_a_worker_that_lost_its_lease_keeps_its_receipt_and_nobody_calls_again(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job = await under_way(acting, world, ana, "patient")
    await lost_lease(acting, job)
    await asyncio.sleep(0.3)
    world.holds.set()
    view = await seen(acting, ana, job.id, done)
    assert (view["status"], len(world.calls)) == ("completed", 1)
    assert view["actions"][0]["settled_by"] == "receipt"
    verified(acting, world.log())


@pytest.mark.parametrize("person", [None, "happened", "did_not_happen"])
async def test_a_receipt_that_comes_late_settles_what_was_unknown_unless_a_person_has(
    acting: Place, world: World, person: str | None
) -> None:
    ana, ports = await acting.caller(), acting.service.ports
    job = await under_way(acting, world, ana, "blind-patient")
    await lost_lease(acting, job, by=60_000)
    view = await waits(acting, ana, job, "effect_unknown")
    [action] = view["actions"]
    if person is not None:
        olga = await acting.caller("olga", "operator")
        with pytest.raises(NotFound):
            await resolve_action(
                ports, await acting.caller("eve", "admin", "other"), action["id"], person, None
            )
        await resolve_action(ports, olga, action["id"], person, None)
    world.holds.set()
    view = await seen(acting, ana, job.id, done)
    assert view["status"] == ("failed" if person == "did_not_happen" else "completed")
    await seen(
        acting,
        await acting.caller("olga", "operator"),
        job.id,
        lambda one: bool(one["actions"][0]["receipt"]),
    )
    whole = await as_seen_by_olga(acting, job)
    [action] = whole["actions"]
    assert action["settled_by"] == ("person" if person else "receipt")
    assert (whole["outcome"]["anything_sent"], len(world.calls)) == (True, 1)
    if person == "did_not_happen":
        told = await events_of(acting, await acting.caller("olga", "operator"), job.id)
        assert (told[-1]["type"], told[-1]["data"]["code"]) == ("action.succeeded", "contradicted")
    verified(acting, world.log())


async def test_arguments_that_are_altered_during_the_call_are_not_sent_and_the_checker_tells_of_them(
    acting: Place, world: World
) -> None:
    ana = await acting.caller()
    job = await under_way(acting, world, ana, "patient")
    evil = json.dumps({"amount": "9999", "how": "plainly", "order": "evil"}, separators=(",", ":"))
    tamper(acting, "UPDATE actions SET arguments = ?", evil)
    world.holds.set()
    view = await seen(acting, ana, job.id, done)
    [action] = view["actions"]
    assert (view["status"], action["settled_by"]) == ("completed", "receipt")
    assert (action["receipt"]["id"], world.orders(), len(world.calls)) == ("re_o-17", ["o-17"], 1)
    folder = ArtifactFolder.from_url(acting.settings.artifacts_url)
    found = collect(acting.service.store.database, folder.read, world_log=world.log())
    told = [(name, what) for name, what in check(found).violations if action["id"] in what]
    assert told == [("I11", f"{action['id']} says other arguments than it was dispatched with")]

"""People decide: exactly what was shown, once, by whoever may; and nothing is released by anything else."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.core.storage import Transaction
from backlane.errors import (
    AlreadyDecided,
    AwaitingReview,
    Claimed,
    InvalidRequest,
    NotAllowed,
    NotFound,
    NotReleased,
    Refusal,
    ReviewExpired,
    RoleRequired,
    SeparationOfDuties,
    StalePayload,
)
from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.claim import claim, release_claim
from backlane.service.decide import Decided, decide
from backlane.service.read import read_job
from backlane.service.show_review import list_reviews, read_review
from tests.conftest import Place
from tests.story.acts import TEXT, events_of, finished, seen, submitted, verified


async def asked(
    place: Place, ana: Caller, type_name: str = "draft", *, by: str = "reviewer"
) -> tuple[Job, dict[str, Any]]:
    """A job that waits for its review, and the review as a reviewer (or `by` another role) sees it."""
    job = await submitted(place, ana, type_name)
    view = await finished(place, ana, job)
    assert view["status"] == "needs_review", view["failure"]
    someone = await place.caller("rita" if by == "reviewer" else "root", by)
    return job, await read_review(place.service.ports, someone, view["review"]["id"])


def answered(review: dict[str, Any], decision: str = "approve", **more: Any) -> Decided:
    """A decision on what this review shows."""
    given = {"payload_hash": review["payload_hash"], **more}
    return Decided(decision=decision, has_edits="edits" in more, **given)


async def content(place: Place, caller: Caller, view: dict[str, Any], kind: str = "result") -> str:
    """The newest content of a kind, as this caller may read it."""
    newest = [row["id"] for row in view["artifacts"] if row["kind"] == kind][-1]
    return (await show.read_content(place.service.ports, caller, newest, None)).content.decode()


async def test_an_approval_releases_exactly_what_was_shown(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)
    assert review["allowed"] == ["approve", "request_changes", "reject", "claim"]
    assert (await read_job(ports, rita, job.id))["allowed"] == [
        "approve",
        "request_changes",
        "reject",
        "escalate",
    ]
    await decide(ports, rita, review["id"], answered(review, notes="fine"))
    view = await read_job(ports, ana, job.id)
    assert (view["status"], view["review"]["state"]) == ("completed", "approved")
    assert TEXT.split(".")[0] in await content(working, ana, view)
    told = [event["type"] for event in await events_of(working, ana, job.id)]
    assert told[-3:] == ["review.decided", "job.completed", "job.released"]
    closed = await read_review(ports, rita, review["id"])
    assert [(one["by"], one["decision"], one["notes"]) for one in closed["decisions"]] == [
        ("rita", "approve", "fine")
    ]
    assert closed["allowed"] == []
    verified(working)


async def test_a_rejected_job_ends_failed_and_stays_closed(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)
    answer = answered(review, "reject", notes="not like this", reason_code="tone", tell_requester=True)
    await decide(ports, rita, review["id"], answer)
    view = await read_job(ports, ana, job.id)
    assert (view["status"], view["failure"]["cause"], view["review"]["state"]) == (
        "failed",
        "review",
        "rejected",
    )
    with pytest.raises(NotReleased):
        await content(working, ana, view)
    assert await content(working, ana, view, "reviewer_notes") == "not like this"
    verified(working)


async def test_only_the_right_person_decides(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    _, review = await asked(working, ana)
    for name, role, refused in (
        ("ana", "submitter", RoleRequired),
        ("ana", "reviewer", SeparationOfDuties),
        ("olga", "operator", RoleRequired),
        ("sue", "support", RoleRequired),
        ("bob", "submitter", NotFound),
    ):
        caller = await working.caller(name, role)
        with pytest.raises(refused):
            await decide(ports, caller, review["id"], answered(review))
    elsewhere = await working.caller("eve", "admin", "other")
    with pytest.raises(NotFound):
        await decide(ports, elsewhere, review["id"], answered(review))
    robot = replace(await working.caller("robot", "reviewer"), kind="service", may_decide=False)
    with pytest.raises(RoleRequired):
        await decide(ports, robot, review["id"], answered(review))
    rows = working.service.store.database.read_now(
        lambda connection: connection.exec_driver_sql(
            "SELECT actor FROM audit WHERE action = 'review.refused'"
        ).all()
    )
    assert [row[0] for row in rows] == ["ana", "ana", "olga", "sue", "robot"]
    verified(working)


async def test_the_person_a_job_is_for_counts_as_its_requester(working: Place) -> None:
    ports = working.service.ports
    service = replace(await working.caller("portal", "submitter"), kind="service")
    job = await submitted(working, service, "draft", user="rita")
    await finished(working, service, job)
    rita = await working.caller("rita", "reviewer")
    review = (await list_reviews(ports, rita, {}, None, 10, secret=b"s"))["data"][0]
    with pytest.raises(SeparationOfDuties):
        await decide(ports, rita, review["id"], answered(review))
    verified(working)


async def test_a_stale_or_doubled_decision_changes_nothing(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    job, review = await asked(working, ana)
    _, other = await asked(working, ana)
    with pytest.raises(StalePayload):
        await decide(ports, rita, review["id"], replace(answered(review), payload_hash="sha256:00"))
    with pytest.raises(StalePayload):
        await decide(ports, rita, review["id"], answered(other))
    both = await asyncio.gather(
        decide(ports, rita, review["id"], answered(review)),
        decide(ports, rob, review["id"], answered(review, "reject", reason_code="wrong")),
        decide(ports, rita, review["id"], answered(review)),
        return_exceptions=True,
    )
    lost = [one for one in both if isinstance(one, Refusal)]
    assert len(lost) == 2
    assert all(isinstance(one, AlreadyDecided) for one in lost)
    assert len((await read_review(ports, rita, review["id"]))["decisions"]) == 1
    assert (await read_job(ports, ana, job.id))["status"] in ("completed", "failed")
    verified(working)


async def test_a_quorum_needs_two_people_on_the_same_version(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    job, review = await asked(working, ana, "pair")
    await decide(ports, rita, review["id"], answered(review))
    with pytest.raises(AlreadyDecided):
        await decide(ports, rita, review["id"], answered(review))
    assert (await read_job(ports, ana, job.id))["status"] == "needs_review"
    edits = {"summary": "Otters rest on their backs.", "themes": ["otters"]}
    await decide(ports, rob, review["id"], answered(review, edits=edits))
    assert (await read_job(ports, ana, job.id))["status"] == "needs_review"
    with pytest.raises(StalePayload):
        await decide(ports, await working.caller("root", "admin"), review["id"], answered(review))
    newer = await read_review(ports, rita, review["id"])
    assert newer["version"] == 2
    await decide(ports, rita, review["id"], answered(newer))
    view = await seen(working, ana, job.id, lambda view: view["status"] == "completed")
    assert json.loads(await content(working, ana, view)) == edits
    verified(working)


async def notes_for(place: Place, caller: Caller, job: Job, review: dict[str, Any]) -> list[str]:
    """The reviewers' words that this caller can read, by any way."""
    ports, found = place.service.ports, list[str]()
    view = await read_job(ports, caller, job.id)
    for row in view["artifacts"]:
        if row["kind"] == "reviewer_notes":
            found.append((await show.read_content(ports, caller, row["id"], None)).content.decode())
    given = (await read_review(ports, caller, review["id"]))["decisions"]
    assert [one["notes"] for one in given if one["notes"]] == found
    return found


async def test_notes_for_the_requester_are_theirs_once_the_review_is_decided(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    job, review = await asked(working, ana, "pair")
    quotes = answered(review, notes="I like 'otters'.", tell_requester=True)
    await decide(ports, rita, review["id"], quotes)
    assert await notes_for(working, ana, job, review) == []
    told = [event["data"] for event in await events_of(working, ana, job.id)]
    assert "reviewer_notes" not in [one.get("kind") for one in told]
    await decide(ports, rob, review["id"], answered(review, notes="So do I.", tell_requester=True))
    await seen(working, ana, job.id, lambda view: view["status"] == "completed")
    assert await notes_for(working, ana, job, review) == ["I like 'otters'.", "So do I."]
    # What was said of a version that is not the one that was decided, or of an approval that came to nothing, is not.
    job, review = await asked(working, ana, "pair")
    quotes = answered(review, notes="I like 'otters'.", tell_requester=True)
    await decide(ports, rita, review["id"], quotes)
    await decide(ports, rob, review["id"], answered(review, "reject", notes="No.", tell_requester=True))
    assert await notes_for(working, ana, job, review) == ["No."]
    verified(working)


async def test_an_edit_releases_the_edited_version_only(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)
    for wrong in (
        {"summary": 1, "themes": []},
        {"summary": "x", "themes": [], "more": 1},
        "just words",
        None,
    ):
        with pytest.raises(InvalidRequest):
            await decide(ports, rita, review["id"], answered(review, edits=wrong))
    with pytest.raises(InvalidRequest):
        await decide(ports, rita, review["id"], answered(review, "reject", edits={}))
    edits = {"summary": "Shorter.", "themes": []}
    await decide(ports, rita, review["id"], answered(review, edits=edits))
    view = await read_job(ports, ana, job.id)
    assert view["status"] == "completed"
    first, second = [row for row in view["artifacts"] if row["kind"] == "result"]
    assert json.loads(await content(working, ana, view)) == edits
    assert (first["sha256"], first["bytes"]) == (None, None)
    with pytest.raises(NotReleased):
        await show.read_content(ports, ana, first["id"], None)
    assert second["bytes"]
    assert TEXT[:20] not in json.dumps(await events_of(working, ana, job.id))
    assert TEXT[:20] in (await show.read_content(ports, rita, first["id"], None)).content.decode()
    verified(working)


async def test_an_edited_version_is_checked_before_it_is_released(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    job, review = await asked(working, ana, "pair")
    await decide(ports, rita, review["id"], answered(review, edits={"summary": "x", "themes": ["bad"]}))
    newer = await read_review(ports, rob, review["id"])
    await decide(ports, rob, review["id"], answered(newer))
    view = await seen(working, ana, job.id, lambda view: view["status"] == "failed")
    assert view["failure"]["code"] == "check_failed"
    with pytest.raises(NotReleased):
        await content(working, ana, view)
    verified(working)


async def test_a_claim_is_a_courtesy(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    _, review = await asked(working, ana)
    await claim(ports, rita, review["id"])
    with pytest.raises(Claimed):
        await claim(ports, rob, review["id"])
    with pytest.raises(Claimed):
        await decide(ports, rob, review["id"], answered(review))
    with pytest.raises(InvalidRequest):
        await claim(ports, rob, review["id"], take_over=True)
    assert (await read_review(ports, rob, review["id"]))["allowed"][-1] == "take_over"
    await claim(ports, rob, review["id"], take_over=True, reason="rita is away")
    await release_claim(ports, rita, review["id"])
    assert (await read_review(ports, rob, review["id"]))["claim"]["by"] == "rob"
    await decide(ports, rita, review["id"], answered(review, take_over=True, reason="it is due"))
    verified(working)


async def time_is_up(place: Place, job: Job) -> None:
    """The time to respond is over now."""

    def end(tx: Transaction) -> None:
        current, review = tx.job(job.id, lock=True), tx.open_review(job.id)
        assert current is not None and review is not None
        now = place.service.ports.clock.now()
        tx.change_review(review["id"], respond_by=now)
        tx.save(current, replace(current, due_at=now), [])

    await place.service.store.write(end)
    place.service.ports.notify()


async def test_silence_hands_a_review_on_and_never_approves(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, root = await working.caller("rita", "reviewer"), await working.caller("root", "admin")
    job, review = await asked(working, ana, "pair")
    await time_is_up(working, job)
    for _ in range(500):
        handed = await read_review(ports, root, review["id"])
        if handed["escalations"]:
            break
        await asyncio.sleep(0.01)
    assert (handed["role"], handed["escalations"][0]["to_role"]) == ("admin", "admin")
    with pytest.raises(RoleRequired):
        await decide(ports, rita, review["id"], answered(handed))
    await time_is_up(working, job)
    view = await seen(working, ana, job.id, lambda view: view["status"] == "failed")
    assert (view["failure"]["cause"], view["review"]["state"]) == ("review", "expired")
    with pytest.raises(ReviewExpired):
        await decide(ports, root, review["id"], answered(handed))
    verified(working)


async def test_a_canceled_job_is_decided_no_more(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)
    await control.cancel(ports, ana, job.id, None)
    with pytest.raises((NotAllowed, AlreadyDecided)):
        await decide(ports, rita, review["id"], answered(review))
    view = await read_job(ports, ana, job.id)
    assert view["status"] == "canceled"
    with pytest.raises((NotReleased, AwaitingReview)):
        await content(working, ana, view)
    verified(working)


async def test_what_nobody_can_know_is_resolved_and_never_approved(working: Place) -> None:
    from tests.story.acts import fault

    ports, ana = working.service.ports, await working.caller()
    root = await working.caller("root", "admin")
    fault(working, "lose_create_reply")
    job = await submitted(working, ana)
    view = await finished(working, ana, job)
    review = await read_review(ports, root, view["review"]["id"])
    with pytest.raises(NotAllowed) as refused:
        await decide(ports, root, review["id"], answered(review))
    assert refused.value.extra["allowed"] == (await read_job(ports, root, job.id))["allowed"]
    assert "resolve" in refused.value.extra["allowed"]
    verified(working)

"""Decisions meet what else happens to a job at the same moment: one outcome, and nothing is released by the loser."""

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import replace
from typing import Any

import pytest

from backlane.core.storage import Transaction
from backlane.errors import AlreadyDecided, NotAllowed, NotFound, Refusal, ReviewExpired, StalePayload
from backlane.service import control
from backlane.service.decide import decide
from backlane.service.mark import hold
from backlane.service.read import read_job
from backlane.service.show_review import read_review
from tests.conftest import Place
from tests.story.acting import review_of
from tests.story.acts import seen, submitted, verified
from tests.story.test_changes import NOTE
from tests.story.test_decisions import answered, asked, content

ENDED = ("completed", "failed", "canceled", "expired")
EDITS = {"summary": "Edited.", "themes": []}


async def both(*calls: Awaitable[Any]) -> list[Refusal]:
    """What was refused of calls made at once; anything else is an error."""
    said = await asyncio.gather(*calls, return_exceptions=True)
    assert all(not isinstance(one, BaseException) or isinstance(one, Refusal) for one in said), said
    return [one for one in said if isinstance(one, Refusal)]


@pytest.mark.parametrize("first", ["approve", "reject"])
async def test_a_decision_against_a_cancel_has_one_outcome(working: Place, first: str) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    for _ in range(5):
        job, review = await asked(working, ana)
        lost = await both(
            control.cancel(ports, ana, job.id, None),
            decide(ports, rita, review["id"], answered(review, first, notes="x")),
        )
        view = await seen(working, ana, job.id, lambda view: view["status"] in ENDED)
        assert len(lost) == 1 and isinstance(lost[0], AlreadyDecided | NotAllowed)
        states = {"canceled": "expired", "completed": "approved", "failed": "rejected"}
        assert view["review"]["state"] == states[view["status"]]
    verified(working)


async def test_a_legal_hold_and_a_decision_at_once_both_happen(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, olga = await working.caller("rita", "reviewer"), await working.caller("olga", "operator")
    for decision in ("approve", "reject", "request_changes"):
        job, review = await asked(working, ana)
        answer = answered(review, decision, notes=NOTE)
        assert await both(hold(ports, olga, job.id, "court"), decide(ports, rita, review["id"], answer)) == []
        assert (await read_job(ports, ana, job.id))["held"] is True
        assert len((await read_review(ports, rita, review["id"]))["decisions"]) == 1
    verified(working)


async def test_an_approval_against_an_edit_releases_the_one_that_came_first(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    for _ in range(5):
        job, review = await asked(working, ana)
        lost = await both(
            decide(ports, rita, review["id"], answered(review)),
            decide(ports, rob, review["id"], answered(review, edits=EDITS)),
        )
        assert len(lost) == 1 and isinstance(lost[0], AlreadyDecided | StalePayload)
        closed = await read_review(ports, rita, review["id"])
        assert len(closed["decisions"]) == 1
        view = await read_job(ports, ana, job.id)
        edited = closed["decisions"][0]["edited"]
        assert (json.loads(await content(working, ana, view)) == EDITS) is edited
    verified(working)


async def test_under_a_quorum_an_edit_between_two_approvals_voids_the_first(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita, rob = await working.caller("rita", "reviewer"), await working.caller("rob", "reviewer")
    root = await working.caller("root", "admin")
    job, review = await asked(working, ana, "pair")
    await decide(ports, rita, review["id"], answered(review))
    await both(
        decide(ports, rob, review["id"], answered(review, edits=EDITS)),
        decide(ports, root, review["id"], answered(review)),
    )
    closed = await read_review(ports, rita, review["id"])
    last = closed["decisions"][-1]
    view = await read_job(ports, ana, job.id)
    # Either the edit came first and nobody but its author has approved it, or the quorum was reached without it.
    if last["edited"]:
        assert (view["status"], closed["state"], closed["version"]) == ("needs_review", "pending", 2)
    else:
        assert closed["state"] == "approved"
    verified(working)


@pytest.mark.parametrize("decision", ["approve", "reject", "request_changes"])
async def test_a_decision_at_the_last_moment_counts_or_the_job_expires(working: Place, decision: str) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    for early in (60, 0, -60):
        job = await submitted(working, ana, "draft", useful_until=ports.clock.now() + 1_500)
        view = await seen(working, ana, job.id, lambda view: view["status"] == "needs_review")
        review = await review_of(working, view)
        while ports.clock.now() < job.useful_until - early:
            await asyncio.sleep(0.005)
        lost = await both(decide(ports, rita, review["id"], answered(review, decision, notes=NOTE)))
        view = await seen(working, ana, job.id, lambda view: view["status"] in ENDED)
        if lost:
            assert isinstance(lost[0], ReviewExpired | AlreadyDecided)
            assert (view["status"], view["review"]["state"]) == ("expired", "expired")
        elif decision == "request_changes":
            # The window is the job's, however often it is sent back.
            assert view["status"] == "expired"
        else:
            assert view["status"] == {"approve": "completed", "reject": "failed"}[decision]
    verified(working)


@pytest.mark.parametrize("what", ["useful_until", "respond_by"])
async def test_no_decision_counts_after_its_time_even_before_a_worker_has_noticed(
    working: Place, what: str
) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)

    def over(tx: Transaction) -> None:
        current, now = tx.job(job.id, lock=True), ports.clock.now()
        assert current is not None
        if what == "respond_by":
            tx.change_review(review["id"], respond_by=now)
        else:
            current = tx.save(current, replace(current, useful_until=now), [])
        tx.save(current, replace(current, due_at=now + 3_600_000), [])

    await working.service.store.write(over)
    for decision in ("approve", "reject", "request_changes"):
        with pytest.raises(ReviewExpired):
            await decide(ports, rita, review["id"], answered(review, decision, notes=NOTE))
    assert (await read_job(ports, ana, job.id))["status"] == "needs_review"


async def test_an_old_approval_opens_no_other_job_attempt_or_workspace(working: Place) -> None:
    ports, ana = working.service.ports, await working.caller()
    rita = await working.caller("rita", "reviewer")
    job, review = await asked(working, ana)
    await decide(ports, rita, review["id"], answered(review))
    again, _ = await control.retry(ports, ana, (await rejected(working)).id)
    view = await seen(working, ana, again.id, lambda view: view["status"] == "needs_review")
    with pytest.raises(StalePayload):
        await decide(ports, rita, view["review"]["id"], answered(review))
    eve = await working.caller("eve", "reviewer", "other")
    with pytest.raises(NotFound):
        await decide(ports, eve, view["review"]["id"], answered(review))
    assert (await read_job(ports, ana, again.id))["status"] == "needs_review"
    assert (await read_job(ports, ana, job.id))["status"] == "completed"
    verified(working)


async def rejected(place: Place) -> Any:
    """A job that was rejected, with the same inputs."""
    ana, rita = await place.caller(), await place.caller("rita", "reviewer")
    job, review = await asked(place, ana)
    await decide(place.service.ports, rita, review["id"], answered(review, "reject", notes="x"))
    return job

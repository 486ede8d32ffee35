"""Every row of the control verbs: who may, from where, and what it leads to. Each is allowed and refused once."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from backlane.core.storage import Search
from backlane.errors import InvalidRequest, NotAllowed, NotFound, RoleRequired
from backlane.service import control
from backlane.service.access import Caller
from backlane.service.decide import Decided, decide
from backlane.service.escalate import escalate
from backlane.service.mark import archive, hold, unarchive, unhold
from backlane.service.ports import Ports
from backlane.service.read import list_jobs, read_job
from backlane.service.show_review import read_review
from tests.conftest import Place
from tests.story.acts import events_of, fault, finished, script, seen, submitted, verified

Verb = Callable[[Ports, Caller, str], Awaitable[Any]]


async def people(place: Place) -> dict[str, Caller]:
    """One of each role, none of whom asked for the job, and the one who did."""
    names = {
        "ana": "submitter", "ben": "submitter", "rita": "reviewer", "sue": "support", "olga": "operator",
        "root": "admin",
    }  # fmt: skip
    return {name: await place.caller(name, role) for name, role in names.items()}


async def refused(
    ports: Ports, verb: Verb, job_id: str, who: dict[str, Caller], **names: type[Exception]
) -> None:
    """Each of these is refused so, and nothing changes."""
    before = await read_job(ports, who["root"], job_id)
    for name, error in names.items():
        with pytest.raises(error):
            await verb(ports, who[name], job_id)
    after = await read_job(ports, who["root"], job_id)
    marks = ("archived_at", "held", "case", "retried_as", "review")
    assert [after[mark] for mark in marks] == [before[mark] for mark in marks]


async def types(place: Place, caller: Caller, job_id: str) -> list[str]:
    return [event["type"] for event in await events_of(place, caller, job_id)]


async def test_cancel_is_for_the_requester_and_operators_while_open(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    script(working, {"running_seconds": 100}, times=None)

    async def verb(ports: Ports, caller: Caller, job_id: str) -> None:
        await control.cancel(ports, caller, job_id, "no longer wanted")

    for name in ("ana", "olga", "root"):
        job = await submitted(working, who["ana"])
        await refused(ports, verb, job.id, who, ben=NotFound, rita=NotFound, sue=RoleRequired)
        await verb(ports, who[name], job.id)
        assert (await finished(working, who["ana"], job))["status"] == "canceled"
        await refused(ports, verb, job.id, who, ana=NotAllowed, olga=NotAllowed)
    verified(working)


async def test_retry_is_for_the_requester_and_operators_after_the_end(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    for name in ("ana", "olga"):
        job = await submitted(working, who["ana"], "draft")
        await finished(working, who["ana"], job)
        await refused(ports, control.retry, job.id, who, ana=NotAllowed, olga=NotAllowed)
        await control.cancel(ports, who["ana"], job.id, None)
        await refused(ports, control.retry, job.id, who, ben=NotFound, rita=RoleRequired, sue=RoleRequired)
        made, new = await control.retry(ports, who[name], job.id)
        assert (new, made.retry_of, made.submitted_by) == (True, job.id, "ana")
    verified(working)


async def test_resolve_is_for_operators_where_nobody_can_know(working: Place) -> None:
    who, ports = await people(working), working.service.ports

    async def verb(ports: Ports, caller: Caller, job_id: str) -> None:
        await control.resolve(ports, caller, job_id, "give_up", notes="it is not in the provider's log")

    plain = await finished(working, who["ana"], await submitted(working, who["ana"]))
    await refused(ports, verb, plain["id"], who, olga=NotAllowed, ana=RoleRequired)
    for name in ("olga", "root"):
        fault(working, "lose_create_reply")
        job = await submitted(working, who["ana"])
        assert (await finished(working, who["ana"], job))["phase"] == "submission_unknown"
        await refused(
            ports, verb, job.id, who, ana=RoleRequired, ben=NotFound, rita=NotFound, sue=RoleRequired
        )
        await verb(ports, who[name], job.id)
        assert (await read_job(ports, who["ana"], job.id))["failure"]["code"] == "submission_given_up"
        await refused(ports, verb, job.id, who, olga=NotAllowed)
    verified(working)


async def ask_for_help(ports: Ports, caller: Caller, job_id: str) -> None:
    await escalate(ports, caller, job_id, "it is urgent")


async def test_escalating_a_review_asks_the_next_in_its_chain_anew(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    for name in ("ana", "rita", "olga"):
        job = await submitted(working, who["ana"], "pair")
        view = await finished(working, who["ana"], job)
        await refused(ports, ask_for_help, job.id, who, ben=NotFound, sue=RoleRequired)
        before = await read_review(ports, who["root"], view["review"]["id"])
        await ask_for_help(ports, who[name], job.id)
        after = await read_review(ports, who["root"], view["review"]["id"])
        assert (before["role"], after["role"], after["state"]) == ("reviewer", "admin", "pending")
        assert after["respond_by"] > before["respond_by"]
        assert (after["escalations"][0]["by"], after["escalations"][0]["to_role"]) == (name, "admin")
        assert after["payload_hash"] == before["payload_hash"]
        assert (await types(working, who["ana"], job.id))[-2:] == ["review.escalated", "job.escalated"]
        # The chain is at its end: what is left is to tell operators.
        await ask_for_help(ports, who["ana"], job.id)
        assert (await read_review(ports, who["root"], view["review"]["id"]))["role"] == "admin"
        assert await flagged(working, job.id)
    verified(working)


async def flagged(place: Place, job_id: str) -> bool:
    found = await place.service.store.read(lambda tx: tx.incidents())
    return any(row["provider_account"] == job_id and row["code"] == "escalated" for row in found)


async def test_a_review_is_escalated_to_a_role_that_decides_and_does_not_have_it(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    job = await submitted(working, who["ana"], "draft")
    await finished(working, who["ana"], job)
    for to in ("operator", "reviewer", "eve"):
        with pytest.raises(InvalidRequest) as wrong:
            await escalate(ports, who["olga"], job.id, "please", to)
        assert wrong.value.errors[0]["pointer"] == "/to"
    await escalate(ports, who["olga"], job.id, "please", "admin")
    assert (await read_job(ports, who["root"], job.id))["outcome"]["who"] == "admin"
    verified(working)


async def test_escalating_what_failed_opens_a_case_once(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    fault(working, "failed", times=4, code="invalid_prompt")
    job = await submitted(working, who["ana"])
    assert (await finished(working, who["ana"], job))["status"] == "failed"
    await refused(ports, ask_for_help, job.id, who, ben=NotFound, rita=NotFound, sue=RoleRequired)
    await escalate(ports, who["ana"], job.id, "I need it today", None)
    first = (await read_job(ports, who["ana"], job.id))["case"]
    await escalate(ports, who["olga"], job.id, "sue takes it", "sue")
    view = await read_job(ports, who["ana"], job.id)
    assert (view["case"], view["status"]) == (first, "failed")
    case = await working.service.store.read(lambda tx: tx.case(first))
    assert case is not None
    assert (case["owner"], case["opened_by"], case["code"]) == ("sue", "ana", "invalid_prompt")
    assert (await types(working, who["ana"], job.id))[-3:] == [
        "case.opened",
        "job.escalated",
        "job.escalated",
    ]
    verified(working)


async def test_escalating_what_runs_tells_operators_until_it_ends(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    script(working, {"running_seconds": 100}, times=None)
    job = await submitted(working, who["ana"])
    await ask_for_help(ports, who["ana"], job.id)
    await ask_for_help(ports, who["ana"], job.id)
    assert await flagged(working, job.id)
    await control.cancel(ports, who["ana"], job.id, None)
    await finished(working, who["ana"], job)
    assert not await flagged(working, job.id)
    await refused(ports, ask_for_help, job.id, who, ana=NotAllowed, olga=NotAllowed)
    verified(working)


async def listed(place: Place, caller: Caller, *, archived: bool = False) -> list[str]:
    page = await list_jobs(place.service.ports, caller, Search(workspace="", archived=archived), None, b"s")
    return [view["id"] for view in page["data"]]


async def test_archiving_hides_an_ended_job_from_default_lists_and_does_nothing_else(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    script(working, {"running_seconds": 100}, times=1)
    running = await submitted(working, who["ana"])
    await seen(working, who["ana"], running.id, lambda view: view["status"] == "running")
    await refused(ports, archive, running.id, who, ana=NotAllowed, olga=NotAllowed, sue=RoleRequired)
    await refused(ports, unarchive, running.id, who, ana=NotAllowed)
    await control.cancel(ports, who["ana"], running.id, None)
    job = await submitted(working, who["ana"])
    view = await finished(working, who["ana"], job)
    for name in ("ana", "olga"):
        await refused(ports, archive, job.id, who, ben=NotFound, rita=NotFound, sue=RoleRequired)
        await archive(ports, who[name], job.id)
        await archive(ports, who[name], job.id)
        hidden = await read_job(ports, who["ana"], job.id)
        assert (hidden["status"], hidden["artifacts"]) == (view["status"], view["artifacts"])
        assert hidden["archived_at"] is not None
        assert job.id not in await listed(working, who["ana"])
        assert job.id in await listed(working, who["ana"], archived=True)
        assert "unarchive" in hidden["allowed"]
        assert "archive" not in hidden["allowed"]
        await refused(ports, unarchive, job.id, who, ben=NotFound, sue=RoleRequired)
        await unarchive(ports, who[name], job.id)
        assert job.id in await listed(working, who["ana"])
    marks = [name for name in await types(working, who["ana"], job.id) if "archived" in name]
    assert marks == ["job.archived", "job.unarchived"] * 2
    verified(working)


async def test_a_legal_hold_is_put_and_lifted_by_operators_whatever_the_status(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    done = await finished(working, who["ana"], await submitted(working, who["ana"]))
    draft = await finished(working, who["ana"], await submitted(working, who["ana"], "draft"))
    script(working, {"running_seconds": 100}, times=None)
    running = await submitted(working, who["ana"])
    for job_id in (done["id"], draft["id"], running.id):
        foreign = {} if job_id == draft["id"] else {"rita": NotFound}
        await refused(ports, hold, job_id, who, ana=RoleRequired, ben=NotFound, sue=RoleRequired, **foreign)
        await hold(ports, who["olga"], job_id, "case 7 at court")
        await hold(ports, who["root"], job_id)
        assert (await read_job(ports, who["ana"], job_id))["held"] is True
        assert "release" not in (await read_job(ports, who["ana"], job_id))["allowed"]
        assert "release" in (await read_job(ports, who["olga"], job_id))["allowed"]
        await refused(ports, unhold, job_id, who, ana=RoleRequired, ben=NotFound, sue=RoleRequired)
        await unhold(ports, who["root"], job_id)
        assert (await read_job(ports, who["ana"], job_id))["held"] is False
    assert (await read_job(ports, who["ana"], draft["id"]))["phase"] == "output"
    await control.cancel(ports, who["ana"], running.id, None)
    await finished(working, who["ana"], running)
    verified(working)


async def test_an_escalation_and_a_decision_at_once_leave_one_outcome(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    for _ in range(3):
        job = await submitted(working, who["ana"], "draft")
        view = await finished(working, who["ana"], job)
        review = await read_review(ports, who["rita"], view["review"]["id"])
        answer = Decided(decision="approve", payload_hash=review["payload_hash"])
        both = await asyncio.gather(
            ask_for_help(ports, who["ana"], job.id),
            decide(ports, who["rita"], review["id"], answer),
            ask_for_help(ports, who["olga"], job.id),
            return_exceptions=True,
        )
        assert all(one is None or isinstance(one, str | NotAllowed | RoleRequired) for one in both), both
        after = await read_review(ports, who["root"], review["id"])
        # Whoever was handed the review must be asked anew; a decision that came first stands.
        assert (after["role"], after["state"]) in (("admin", "pending"), ("reviewer", "approved"))
        assert len(after["decisions"]) == (after["state"] == "approved")
    verified(working)


async def test_why_a_review_was_escalated_is_closed_to_whom_its_output_is(working: Place) -> None:
    who, ports = await people(working), working.service.ports
    job = await submitted(working, who["ana"], "draft")
    view = await finished(working, who["ana"], job)
    await escalate(ports, who["rita"], job.id, "canary-7d: it quotes a secret")
    ana_as_admin = await working.caller("ana", "admin")
    for caller in (who["ana"], ana_as_admin):
        seen = [await read_job(ports, caller, job.id), await events_of(working, caller, job.id)]
        assert "canary-7d" not in str(seen)
    assert "canary-7d" not in str(await read_review(ports, ana_as_admin, view["review"]["id"]))
    assert "canary-7d" in str(await read_review(ports, who["root"], view["review"]["id"]))
    verified(working)

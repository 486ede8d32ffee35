"""The provider fails in every way it knows; each ends as the contract says, and nothing is bought twice."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backlane.core.job import Job
from backlane.core.outcome import Accepted
from backlane.core.storage import Transaction
from backlane.errors import NotThisAttempt, RoleRequired
from backlane.service import control
from backlane.service.purchase import keep_create
from backlane.service.read import read_job
from backlane.service.situate import situate
from tests.conftest import Place
from tests.story.acts import (
    contents,
    creates,
    ended,
    events_of,
    fault,
    finished,
    script,
    seen,
    submitted,
    verified,
)

FAILED = "failed"
ENDS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("an error that stays", {"status": "failed", "error_code": "server_error"}, FAILED, "provider", "server_error"),
    ("a prompt refused", {"status": "failed", "error_code": "invalid_prompt"}, "failed", "input", "invalid_prompt"),
    ("a policy code", {"status": "failed", "error_code": "bio_policy"}, "failed", "policy", "bio_policy"),
    ("a bad image", {"status": "failed", "error_code": "image_parse_error"}, "failed", "input", "image_parse_error"),
    ("an unheard-of code", {"status": "failed", "error_code": "gremlins"}, "failed", "provider", "gremlins"),
    ("cut off", {"status": "incomplete", "text": "It was a dark and stormy night."}, FAILED, "provider", "incomplete"),
    ("filtered", {"status": "incomplete", "incomplete_reason": "content_filter"}, "failed", "policy", "content_filter"),
    ("refused by the model", {"refusal": "I can't help with that."}, "failed", "policy", "refusal"),
    ("not of the form", {"text": "just words"}, "failed", "provider", "invalid_output"),
    ("a call of no function", {"output": [{"type": "computer_call"}]}, "failed", "tool", "tool_not_available"),
    ("stopped by somebody else", {"status": "cancelled"}, "failed", "provider", "stopped_at_provider"),
]  # fmt: skip


async def _window_ends(place: Place, job: Job) -> None:
    """The job's useful window is over now."""

    def end(tx: Transaction) -> None:
        current = tx.job(job.id, lock=True)
        assert current is not None
        now = place.service.ports.clock.now()
        tx.save(current, replace(current, useful_until=now, due_at=now), [])

    await place.service.store.write(end)


@pytest.mark.parametrize(("name", "then", "status", "cause", "code"), ENDS, ids=[row[0] for row in ENDS])
async def test_a_run_that_ends_badly_says_why(
    working: Place, name: str, then: dict[str, Any], status: str, cause: str, code: str
) -> None:
    ana = await working.caller()
    script(working, then, times=None)
    job = await submitted(working, ana)
    if code == "server_error":
        await seen(working, ana, job.id, lambda view: len(view["attempts"]) > 1)
        await _window_ends(working, job)
        view = await finished(working, ana, job)
        assert view["status"] == "expired"
        verified(working)
        return
    view = await finished(working, ana, job)
    assert (view["status"], view["failure"]["cause"], view["failure"]["code"]) == (status, cause, code)
    assert view["failure"]["message"]
    assert view["failure"]["next_steps"]
    assert len(view["attempts"]) == 1
    words = then.get("text") or then.get("refusal")
    if words:
        kept = await contents(working, ana, view)
        assert kept["partial"]
        assert words.startswith(kept["partial"].rstrip("."))
        assert view["failure"]["partial_output"]
    verified(working)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("rate_limit", {"retry_after": "0"}, "refused"),
    ("rate_limit", {"retry_after": "-3"}, "refused"),
    ("rate_limit", {"retry_after": "Fri, 31 Dec 1999 23:59:59 GMT"}, "refused"),
    ("overloaded", {}, "refused"),
    ("slow_down", {}, "refused"),
]


@pytest.mark.parametrize(("name", "values", "state"), REFUSED)
async def test_a_refused_create_is_sent_anew_by_schedule(
    working: Place, name: str, values: dict, state: str
) -> None:
    ana = await working.caller()
    fault(working, name, **values)
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    assert [one["state"] for one in view["attempts"]] == [state, "completed"]
    assert [one["reason"] for one in view["attempts"]] == ["first", "refused"]
    verified(working)


async def test_a_failed_run_is_bought_again_and_both_are_booked(working: Place) -> None:
    ana = await working.caller()
    usage = {
        "input_tokens": 100, "output_tokens": 10, "total_tokens": 110,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    script(working, {"status": "failed", "error_code": "server_error", "usage": usage})
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    assert [one["reason"] for one in view["attempts"]] == ["first", "provider_failed"]
    costs = [float(one["cost"]) for one in view["attempts"]]
    assert min(costs) > 0
    assert float(view["cost"]["settled"]) == pytest.approx(sum(costs))
    verified(working)


async def test_a_wrong_request_fails_at_once_and_says_whose_it_is(working: Place) -> None:
    ana = await working.caller()
    fault(
        working,
        "status",
        status=400,
        body={"error": {"message": "No.", "type": "x", "param": "y", "code": "z"}},
    )
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["status"], view["failure"]["cause"], view["failure"]["code"]) == (
        "failed",
        "design",
        "request_refused",
    )
    assert view["failure"]["human_needed"]


@pytest.mark.parametrize(
    ("name", "values"),
    [("quota", {}), ("status", {"status": 401}), ("status", {"status": 403})],
)
async def test_what_an_operator_must_mend_holds_the_jobs_with_one_alert(
    working: Place, name: str, values: dict
) -> None:
    ana = await working.caller()
    fault(working, name, times=None, **values)
    jobs = [await submitted(working, ana) for _ in range(3)]
    for job in jobs:
        view = await seen(working, ana, job.id, lambda view: view["phase"] == "incident")
        assert view["status"] == "queued"
        assert "incident" in view["waiting_on"]
    raised = await working.service.store.read(lambda tx: tx.incidents())
    assert len(raised) == 1
    working.simulator.world.weather.clear()
    for job in jobs:
        assert (await finished(working, ana, job))["status"] == "completed"
    assert await working.service.store.read(lambda tx: tx.incidents()) == []
    verified(working)


LOST = ["lose_create_reply", "cut_reply", "garble_reply", "html_reply"]


@pytest.mark.parametrize("name", LOST)
async def test_a_lost_reply_is_asked_about_and_never_sent_again(working: Place, name: str) -> None:
    ana, olga = await working.caller(), await working.caller("olga", "operator")
    fault(working, name)
    job = await submitted(working, ana)
    view = await finished(working, ana, job)
    assert (view["status"], view["phase"]) == ("needs_review", "submission_unknown")
    assert view["attempts"][0]["state"] == "unknown"
    assert view["cost"]["unpriced"] == 1
    assert creates(working) == 1
    with pytest.raises(RoleRequired):
        await control.resolve(working.service.ports, ana, job.id, "run_again")
    lost = working.simulator.world.log[0]["response_id"]
    await control.resolve(working.service.ports, olga, job.id, "attach", provider_response_id=lost)
    done = await finished(working, ana, job)
    assert done["status"] == "completed"
    assert done["cost"]["unpriced"] == 0
    assert creates(working) == 1
    assert "attempt.adopted" in [event["type"] for event in await events_of(working, ana, job.id)]
    verified(working)


async def test_a_strange_run_cannot_be_attached(working: Place) -> None:
    ana, olga = await working.caller(), await working.caller("olga", "operator")
    other = await finished(working, ana, await submitted(working, ana))
    fault(working, "lose_create_reply")
    job = await submitted(working, ana)
    await finished(working, ana, job)
    for strange in (other["provider_response_id"], "resp_nobody"):
        with pytest.raises(NotThisAttempt):
            await control.resolve(working.service.ports, olga, job.id, "attach", provider_response_id=strange)
    assert (await read_job(working.service.ports, ana, job.id))["phase"] == "submission_unknown"


async def test_a_person_may_run_it_again_or_give_it_up(working: Place) -> None:
    ana, olga = await working.caller(), await working.caller("olga", "operator")
    fault(working, "lose_create_reply", times=2)
    again, given_up = await submitted(working, ana), await submitted(working, ana)
    for job in (again, given_up):
        await finished(working, ana, job)
    await control.resolve(working.service.ports, olga, again.id, "run_again", notes="the log is empty")
    view = await finished(working, ana, again)
    assert view["status"] == "completed"
    assert [one["reason"] for one in view["attempts"]] == ["first", "person"]
    await control.resolve(working.service.ports, olga, given_up.id, "give_up")
    view = await read_job(working.service.ports, ana, given_up.id)
    assert (view["status"], view["failure"]["code"]) == ("failed", "submission_given_up")
    assert creates(working) == 3
    verified(working)


async def test_a_type_that_says_so_buys_again_once(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply", times=2)
    view = await finished(working, ana, await submitted(working, ana, "plain"))
    assert view["phase"] == "submission_unknown"
    assert [one["reason"] for one in view["attempts"]] == ["first", "rebuy"]
    assert creates(working) == 2
    verified(working)


async def test_a_run_found_after_it_was_bought_again_is_canceled_and_booked(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 50, "text": "late words"})
    fault(working, "lose_create_reply")
    job = await submitted(working, ana, "plain")
    view = await finished(working, ana, job)
    assert view["status"] == "completed"
    lost = working.simulator.world.log[0]["response_id"]
    ports = working.service.ports
    attempt = (await working.service.store.read(lambda tx: tx.attempts(job.id)))[0]
    held = await working.service.store.read(lambda tx: situate(tx, ports, tx.job(job.id)))
    await keep_create(
        ports, replace(held, job=replace(held.job, version=0)), attempt, Accepted(lost, "in_progress")
    )
    view = await seen(working, ana, job.id, lambda view: view["attempts"][0]["state"] == "canceled")
    assert view["status"] == "completed"
    assert working.simulator.world.stats()["runs"]["cancelled"] == 1
    verified(working)


async def test_a_late_reply_is_kept_whoever_holds_the_job(working: Place) -> None:
    """A worker that lost its job still brings the id: it is kept on its attempt, and the job follows it."""
    ana = await working.caller()
    fault(working, "lose_create_reply")
    job = await submitted(working, ana)
    await finished(working, ana, job)
    lost = working.simulator.world.log[0]["response_id"]
    ports = working.service.ports
    attempt = (await working.service.store.read(lambda tx: tx.attempts(job.id)))[0]
    held = await working.service.store.read(lambda tx: situate(tx, ports, tx.job(job.id)))
    zombie = replace(held, lease_no=held.lease_no - 1, job=replace(held.job, version=1))
    await keep_create(ports, zombie, attempt, Accepted(lost, "queued"))
    view = await seen(working, ana, job.id, lambda view: view["status"] == "completed")
    assert [one["state"] for one in view["attempts"]] == ["completed"]
    assert creates(working) == 1
    verified(working)


async def test_a_result_that_is_gone_is_said_to_be_gone(working: Place) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 100})
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["status"] == "running")
    fault(working, "gone", call="retrieve", times=None)
    view = await finished(working, ana, job)
    assert (view["status"], view["failure"]["code"], view["failure"]["cause"]) == (
        "failed",
        "result_gone",
        "provider",
    )
    assert view["cost"]["settled"] is None
    assert view["cost"]["unpriced"] == 1
    verified(working)


@pytest.mark.parametrize("name", ["missing_usage", "garbled_usage"])
async def test_a_run_without_usage_is_unpriced_never_zero(working: Place, name: str) -> None:
    ana = await working.caller()
    fault(working, name)
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    assert view["cost"]["settled"] is None
    assert view["cost"]["unpriced"] == 1


async def test_the_cost_limit_stops_the_next_purchase(working: Place) -> None:
    ana = await working.caller()
    usage = {
        "input_tokens": 90_000, "output_tokens": 10, "total_tokens": 90_010,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    script(working, {"status": "failed", "error_code": "server_error", "usage": usage})
    view = await finished(working, ana, await submitted(working, ana, "cheap"))
    assert (view["status"], view["failure"]["cause"]) == ("failed", "budget")
    assert creates(working) == 1
    verified(working)


async def test_an_answer_of_the_wrong_form_goes_to_review_where_the_type_says_so(working: Place) -> None:
    ana = await working.caller()
    script(working, {"text": "just words"})
    view = await finished(working, ana, await submitted(working, ana, "second-look"))
    assert (view["status"], view["phase"]) == ("needs_review", "output")
    assert [row["kind"] for row in view["artifacts"]] == ["partial"]


@pytest.mark.parametrize(
    "name", ["lose_reply", "garble_reply", "unknown_status", "html_reply", "server_error"]
)
async def test_looks_that_learn_nothing_go_on_looking(working: Place, name: str) -> None:
    ana = await working.caller()
    script(working, {"running_seconds": 0.3})
    fault(working, name, call="retrieve", times=2)
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    assert creates(working) == 1
    verified(working)


async def test_a_status_that_goes_backwards_changes_nothing(working: Place) -> None:
    ana = await working.caller()
    fault(working, "backwards_status", call="retrieve")
    view = await finished(working, ana, await submitted(working, ana))
    assert view["status"] == "completed"
    verified(working)


async def test_many_jobs_at_once_each_run_once(working: Place) -> None:
    ana = await working.caller()
    jobs = await asyncio.gather(*(submitted(working, ana) for _ in range(60)))
    views = await asyncio.gather(*(finished(working, ana, job) for job in jobs))
    assert {view["status"] for view in views} == {"completed"}
    assert creates(working) == 60
    assert all(ended(view) for view in views)
    verified(working)

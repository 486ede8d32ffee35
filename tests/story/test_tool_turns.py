"""Jobs whose model uses tools: each turn is an attempt, bought once; what goes wrong is told, then ends it."""

import asyncio
import json
import threading
from typing import Any

import httpx2
import pytest

from backlane.service import control, show
from backlane.service.access import Caller
from backlane.service.read import read_job
from tests.conftest import Place
from tests.story.acts import creates, events_of, finished, script, submitted, verified
from tests.story.tool_types import SECRET, Ledger

ANNA = {"email": "anna@example.test"}


def calls(place: Place, *named: tuple[str, Any], **match: Any) -> None:
    """The next matching run calls these tools."""
    script(place, {"tool_calls": [{"name": name, "arguments": given} for name, given in named]}, **match)


def bodies(place: Place) -> list[dict[str, Any]]:
    """What each create sent, in order."""
    return [dict(run.body) for run in place.simulator.world.runs.values()]


def told(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tool answers that a create carries, as the model reads them."""
    outputs = [one for one in body["input"] if one["type"] == "function_call_output"]
    return [json.loads(one["output"]) for one in outputs]


async def tool_outputs(place: Place, caller: Caller, view: dict[str, Any]) -> list[tuple[str, Any]]:
    """The tool_output artifacts: name and content."""
    found: list[tuple[str, Any]] = []
    for row in view["artifacts"]:
        if row["kind"] == "tool_output":
            content = await show.read_content(place.service.ports, caller, row["id"], "a test")
            found.append((row["name"], json.loads(content.content)))
    return found


async def test_a_tool_is_called_and_its_answer_becomes_the_next_turn(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("look_up_customer", ANNA))
    script(helping, {"text": "Ana has the old plan."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert (view["status"], view["failure"]) == ("completed", None)
    assert ledger.calls == [("look_up_customer", "anna@example.test")]
    first, second = view["attempts"]
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn"]
    assert [one["state"] for one in view["attempts"]] == ["completed", "completed"]
    assert view["provider_response_id"] == second["provider_response_id"]
    sent = bodies(helping)[1]
    assert sent["previous_response_id"] == first["provider_response_id"]
    assert (sent["instructions"], sent["tools"][0]["name"]) == (
        "Answer.",
        "look_up_customer",
    )
    assert told(sent) == [
        {
            "tool": "look_up_customer",
            "untrusted": True,
            "output": {"name": "Ana of anna@example.test", "plan": SECRET},
        }
    ]
    kinds = [row["kind"] for row in view["artifacts"]]
    assert kinds == ["tool_output", "result"]
    [(name, evidence)] = await tool_outputs(helping, ana, view)
    assert name == "tool-1-1-look_up_customer.json"
    assert evidence["answer"] == told(sent)[0]
    total = sum(float(one["cost"]) for one in view["attempts"])
    assert float(view["cost"]["settled"]) == pytest.approx(total)
    assert min(float(one["cost"]) for one in view["attempts"]) > 0
    assert view["timing"]["tool_seconds"] > 0
    assert creates(helping) == 2
    verified(helping)


async def test_calls_of_one_turn_run_side_by_side_and_are_answered_in_their_order(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}), ("count_orders", {**ANNA, "since_year": 2024}), ("whose_job", {}))
    script(helping, {"text": "Done."})
    job = await submitted(helping, ana, "helped", text="words")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    while "count_orders" not in ledger.names():
        await asyncio.sleep(0.01)
    view = await read_job(helping.service.ports, ana, job.id)
    assert (view["status"], view["phase"], view["waiting_on"]) == ("running", "tool", "a tool")
    ledger.held.set()
    view = await finished(helping, ana, job)
    assert view["status"] == "completed"
    sent = told(bodies(helping)[1])
    assert [one["output"] for one in sent] == ["x", {"orders": 24}, {"by": "ana", "text": "words"}]
    events = [one for one in await events_of(helping, ana, job.id) if one["type"].startswith("tool.")]
    assert [one["type"] for one in events] == ["tool.called"] * 3 + ["tool.answered"] * 3
    assert [one["data"]["number"] for one in events] == [1, 2, 3, 1, 2, 3]
    assert threading.get_ident() not in ledger.threads
    verified(helping)


async def test_several_turns_each_go_on_from_the_one_before(helping: Place) -> None:
    ana = await helping.caller()
    calls(helping, ("count_orders", {**ANNA, "since_year": 2021}))
    calls(helping, ("count_orders", ANNA), ("count_orders", {**ANNA, "since_year": 2023}))
    script(helping, {"text": "24 orders."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert view["status"] == "completed"
    ids = [one["provider_response_id"] for one in view["attempts"]]
    assert [one.get("previous_response_id") for one in bodies(helping)] == [None, *ids[:2]]
    assert [one["output"]["orders"] for one in told(bodies(helping)[2])] == [20, 23]
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn", "next_turn"]
    assert [name for name, _ in await tool_outputs(helping, ana, view)] == [
        "tool-1-1-count_orders.json",
        "tool-2-1-count_orders.json",
        "tool-2-2-count_orders.json",
    ]
    assert creates(helping) == 3
    verified(helping)


MISTAKES: list[tuple[str, Any, str, str]] = [
    ("look_up_customer", '{"email": ', "invalid_arguments", "Invalid JSON"),
    ("look_up_customer", {"mail": "x"}, "invalid_arguments", "email: "),
    ("look_up_customer", {**ANNA, "limit": 3}, "invalid_arguments", "limit: "),
    ("count_orders", {**ANNA, "since_year": "soon"}, "invalid_arguments", "since_year: "),
    ("whose_job", {"job": "job_other"}, "invalid_arguments", "job: "),
    ("delete_everything", {}, "unknown_tool", "There is no tool by this name."),
    ("broken", {"how": "plainly"}, "tool_failed", "no such customer"),
    ("broken", {"how": "badly"}, "tool_failed", "The tool broke (RuntimeError)."),
    ("broken", {"how": "exit"}, "tool_failed", "The tool broke (SystemExit)."),
    ("broken", {"how": "cancel"}, "tool_failed", "The tool broke (CancelledError)."),
    ("never", {}, "tool_timeout", "within 0.05 s"),
]


@pytest.mark.parametrize(("name", "given", "code", "words"), MISTAKES)
async def test_a_mistake_is_told_to_the_model_and_the_job_goes_on(
    helping: Place, name: str, given: Any, code: str, words: str
) -> None:
    ana = await helping.caller()
    calls(helping, (name, given), ("count_orders", ANNA))
    script(helping, {"text": "Without it, then."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert view["status"] == "completed"
    wrong, right = told(bodies(helping)[1])
    assert (wrong["tool"], right["output"]) == (name, {"orders": 20})
    assert words in wrong["error"] and "hunter2" not in wrong["error"] and "output" not in wrong
    answered = [one for one in await events_of(helping, ana, view["id"]) if one["type"] == "tool.answered"]
    assert [one["data"]["code"] for one in answered] == [code, None]
    assert creates(helping) == 2
    verified(helping)


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("nothing", {}, "tool_misused"),
        ("look_up_customer", "[]", "tool_misused"),
        ("broken", {"how": "badly"}, "tool_failed"),
    ],
)
async def test_a_mistake_made_too_often_ends_the_job_with_cause_tool(
    helping: Place, name: str, given: Any, code: str
) -> None:
    ana = await helping.caller()
    script(helping, {"tool_calls": [{"name": name, "arguments": given}]}, times=None)
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    failure = view["failure"]
    assert (view["status"], failure["cause"], failure["code"]) == ("failed", "tool", code)
    assert failure["message"] and failure["next_steps"]
    assert (creates(helping), len(view["attempts"])) == (4, 4)
    verified(helping)


async def test_a_huge_answer_is_cut_and_marked(helping: Place) -> None:
    ana = await helping.caller()
    calls(helping, ("huge", {}))
    script(helping, {"text": "Much."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert view["status"] == "completed"
    [said] = told(bodies(helping)[1])
    assert (said["truncated"], said["untrusted"]) == (True, True)
    assert len(said["output"].encode()) <= 1_000 < said["bytes"]
    verified(helping)


async def test_the_budget_of_calls_ends_the_job_before_more_are_run(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, *[("count_orders", ANNA)] * 3)
    calls(helping, *[("count_orders", ANNA)] * 2)
    view = await finished(helping, ana, await submitted(helping, ana, "narrow"))
    assert (view["failure"]["cause"], view["failure"]["code"]) == ("tool", "tool_budget")
    assert (len(ledger.calls), creates(helping)) == (3, 2)
    verified(helping)


async def test_the_cap_on_turns_ends_a_model_that_never_answers(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    script(helping, {"tool_calls": [{"name": "count_orders", "arguments": ANNA}]}, times=None)
    view = await finished(helping, ana, await submitted(helping, ana, "narrow"))
    assert (view["failure"]["cause"], view["failure"]["code"]) == ("tool", "turns_used_up")
    assert (len(ledger.calls), creates(helping)) == (2, 3)
    forced = [one.get("tool_choice") for one in bodies(helping)]
    assert forced == ["required", None, None]
    verified(helping)


async def test_a_tool_that_must_be_called_is_called_after_an_unfinished_answer_too(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    script(helping, {"status": "incomplete", "text": "Anna has ordered, but how often? Not often."})
    old = await finished(helping, ana, await submitted(helping, ana, "narrow"))
    calls(helping, ("count_orders", ANNA))
    script(helping, {"text": "Three times."})
    made, _ = await control.retry(helping.service.ports, ana, old["id"], start="partial")
    assert (await finished(helping, ana, made))["status"] == "completed"
    assert [one.get("tool_choice") for one in bodies(helping)] == ["required", "required", None]
    assert len(ledger.calls) == 1
    verified(helping)


async def test_the_cost_limit_stops_between_turns(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("count_orders", ANNA))
    view = await finished(helping, ana, await submitted(helping, ana, "cheap-tools"))
    assert (view["failure"]["cause"], view["failure"]["code"]) == ("budget", "max_cost_reached")
    assert (ledger.calls, creates(helping)) == ([], 1)
    verified(helping)


async def test_a_type_without_tools_tells_the_model_so(helping: Place) -> None:
    ana = await helping.caller()
    calls(helping, ("look_up_customer", ANNA))
    script(helping, {"text": "By myself, then."})
    view = await finished(helping, ana, await submitted(helping, ana, "toolless"))
    assert (view["status"], told(bodies(helping)[1])[0]["error"]) == (
        "completed",
        "There is no tool by this name.",
    )
    verified(helping)


async def test_a_job_canceled_while_its_tool_runs_ends_at_once(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}))
    job = await submitted(helping, ana, "helped")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    await control.cancel(helping.service.ports, ana, job.id, None)
    view = await finished(helping, ana, job)
    assert (view["status"], creates(helping)) == ("canceled", 1)
    ledger.held.set()
    await asyncio.sleep(0.1)
    view = await read_job(helping.service.ports, ana, job.id)
    assert [row["kind"] for row in view["artifacts"]] == []
    assert float(view["cost"]["settled"]) > 0
    verified(helping)


async def test_a_run_that_fails_in_a_later_turn_is_bought_again_as_the_same_turn(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    calls(helping, ("count_orders", ANNA))
    script(helping, {"status": "failed", "error_code": "server_error"})
    script(helping, {"text": "20."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped"))
    assert view["status"] == "completed"
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn", "provider_failed"]
    _, second, third = bodies(helping)
    assert (second["input"], second["previous_response_id"]) == (
        third["input"],
        third["previous_response_id"],
    )
    assert (len(ledger.calls), creates(helping)) == (1, 3)
    verified(helping)


async def test_a_conversation_that_the_provider_lost_is_sent_anew(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("count_orders", ANNA))
    calls(helping, ("hold", {"name": "x"}))
    calls(helping, ("count_orders", {**ANNA, "since_year": 2022}))
    script(helping, {"text": "22."})
    job = await submitted(helping, ana, "helped", text="How many?")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    for run in helping.simulator.world.runs.values():
        run.deleted = True
    ledger.held.set()
    view = await finished(helping, ana, job)
    assert view["status"] == "completed"
    reasons = [one["reason"] for one in view["attempts"]]
    assert reasons == ["first", "next_turn", "next_turn", "refused", "next_turn"]
    assert [one["state"] for one in view["attempts"]][2] == "refused"
    anew, last = bodies(helping)[2:]
    assert "previous_response_id" not in anew
    assert [one["type"] for one in anew["input"]] == [
        "message",
        "function_call",
        "function_call_output",
        "function_call",
        "function_call_output",
    ]
    assert anew["input"][0]["content"] == "How many?"
    assert last["previous_response_id"] == view["attempts"][3]["provider_response_id"]
    assert [one["output"] for one in told(last)] == [{"orders": 22}]
    assert helping.simulator.world.stats()["duplicates"] == 0
    verified(helping)


async def test_a_gated_job_with_tools_shows_its_submitter_nothing_that_a_model_or_tool_wrote(
    helping: Place,
) -> None:
    ana, olga = await helping.caller(), await helping.caller("rita", "reviewer")
    calls(helping, ("look_up_customer", {"email": "model-canary-55"}), ("name-canary-9", {}))
    script(helping, {"text": "Ana has the plan."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped-draft"))
    assert (view["status"], view["phase"]) == ("needs_review", "output")
    transport = httpx2.ASGITransport(app=helping.app())
    headers = {"Authorization": f"Bearer {await helping.key()}"}
    async with httpx2.AsyncClient(transport=transport, base_url="http://x", headers=headers) as http:
        for path in ("", "/events?limit=200", "/artifacts"):
            page = await http.get(f"/v1/jobs/{view['id']}{path}")
            assert page.status_code == 200
            for secret in (SECRET, "model-canary-55", "name-canary-9", "look_up_customer"):
                assert secret not in page.text, (path, secret)
        for row in view["artifacts"]:
            assert (await http.get(f"/v1/artifacts/{row['id']}/content")).status_code == 409
    kinds = [row["kind"] for row in (await read_job(helping.service.ports, olga, view["id"]))["artifacts"]]
    assert kinds == ["tool_output", "tool_output", "result"]
    verified(helping)

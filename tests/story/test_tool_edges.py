"""Jobs with tools meet the rest of the service: a type that is gone, a window that ends, a restore, a deadly tool."""

import asyncio
from pathlib import Path

from backlane.service import control
from backlane.service.read import read_job
from backlane.service.restore import declare_restored
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import contents, creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.test_processes import work
from tests.story.test_tool_turns import ANNA, bodies, calls, told
from tests.story.tool_types import Ledger, tool_app
from tests.values import small_app


async def stopped_in_a_tool(place: Place, ledger: Ledger) -> str:
    """A job whose only call is not answered yet, handed back by a worker that was stopped."""
    ana = await place.caller()
    calls(place, ("hold", {"name": "x"}))
    job = await submitted(place, ana, "helped")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    await place.service.drain(grace=0)
    ledger.held.set()
    return job.id


async def anew(place: Place, types: object) -> Place:
    """Another service over the same database, whose worker runs."""
    service = build(place.settings, types=types, log=lambda line: None)  # type: ignore[arg-type]
    await service.start_worker()
    return Place(service, place.simulator, place.settings)


async def test_a_worker_that_is_stopped_while_a_tool_runs_hands_its_job_on(
    helping: Place, ledger: Ledger
) -> None:
    job = await stopped_in_a_tool(helping, ledger)
    script(helping, {"text": "Done."})
    other = await anew(helping, tool_app(ledger))
    ana = await other.caller()
    view = await seen(other, ana, job, lambda view: view["status"] == "completed")
    assert (ledger.names(), creates(other)) == (["hold", "hold"], 2)
    assert told(bodies(other)[1])[0]["output"] == "x"
    assert len(view["attempts"]) == 2
    verified(other)
    await other.service.drain(grace=5)


async def test_calls_wait_for_a_type_that_is_not_loaded(helping: Place, ledger: Ledger) -> None:
    job = await stopped_in_a_tool(helping, ledger)
    script(helping, {"text": "Done."})
    other = await anew(helping, small_app())
    ana = await other.caller()
    view = await seen(other, ana, job, lambda view: view["phase"] == "incident")
    assert (view["status"], creates(other)) == ("queued", 1)
    await other.service.drain(grace=5)
    third = await anew(helping, tool_app(ledger))
    await third.service.store.write(lambda tx: tx.wake(job, third.service.ports.clock.now()))
    view = await seen(third, ana, job, lambda view: view["status"] == "completed")
    assert (ledger.names(), creates(third), len(view["attempts"])) == (["hold", "hold"], 2, 2)
    verified(third)
    await third.service.drain(grace=5)


async def test_a_restore_between_turns_asks_before_the_next_is_bought(helping: Place, ledger: Ledger) -> None:
    job = await stopped_in_a_tool(helping, ledger)
    script(helping, {"text": "Done."})
    quiet = build(helping.settings, types=tool_app(ledger), log=lambda line: None)
    restored = await declare_restored(quiet.ports, "olga")
    assert restored.followed == 1
    await quiet.drain(grace=5)
    other = await anew(helping, tool_app(ledger))
    olga = await other.caller("olga", "operator")
    view = await seen(other, olga, job, lambda view: view["phase"] == "submission_unknown")
    assert ([one["reason"] for one in view["attempts"]], creates(other)) == (["first", "next_turn"], 1)
    await control.resolve(other.service.ports, olga, job, "run_again")
    view = await seen(other, olga, job, lambda view: view["status"] == "completed")
    assert [one["reason"] for one in view["attempts"]] == ["first", "next_turn", "person"]
    assert told(bodies(other)[1])[0]["output"] == "x"
    verified(other)
    await other.service.drain(grace=5)


async def test_a_live_job_with_tools_streams_each_turn_and_keeps_the_last_text(helping: Place) -> None:
    ana = await helping.caller()
    said = {"type": "message", "role": "assistant", "status": "completed", "id": "msg_1"}
    said["content"] = [{"type": "output_text", "text": "I look it up.", "annotations": [], "logprobs": []}]  # type: ignore[assignment]
    call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "status": "completed"}
    call |= {"name": "count_orders", "arguments": '{"email": "a@example.test"}'}
    script(helping, {"output": [said, call]})
    script(helping, {"text": "There are 20 orders."})
    view = await finished(helping, ana, await submitted(helping, ana, "helped", live=True))
    assert (view["status"], [one["reason"] for one in view["attempts"]]) == (
        "completed",
        ["first", "next_turn"],
    )
    streamed = ""
    for event in await events_of(helping, ana, view["id"]):
        if event["type"] == "output.reset":
            streamed = ""
        streamed += event["data"]["text"] if event["type"] == "output.delta" else ""
    assert streamed == (await contents(helping, ana, view))["result"] == "There are 20 orders."
    assert told(bodies(helping)[1])[0]["output"] == {"orders": 20}
    verified(helping)


async def test_other_jobs_go_on_while_a_tool_runs(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}))
    held = await submitted(helping, ana, "helped")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    others = [await submitted(helping, ana, "toolless") for _ in range(3)]
    for job in others:
        assert (await finished(helping, ana, job))["status"] == "completed"
    assert (await read_job(helping.service.ports, ana, held.id))["phase"] == "tool"
    ledger.held.set()
    assert (await finished(helping, ana, held))["status"] == "completed"
    verified(helping)


async def test_an_incident_of_the_account_holds_the_next_turn(helping: Place, ledger: Ledger) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}))
    job = await submitted(helping, ana, "helped")
    await asyncio.wait_for(ledger.entered.wait(), 20)
    fault(helping, "status", status=401, times=None, call="create")
    other = await submitted(helping, ana, "toolless")
    await seen(helping, ana, other.id, lambda view: view["phase"] == "incident")
    ledger.held.set()
    view = await seen(helping, ana, job.id, lambda view: view["phase"] == "incident")
    assert ([one["state"] for one in view["attempts"]], view["status"]) == (["completed"], "queued")
    verified(helping)


async def test_a_window_that_ends_while_a_tool_runs_ends_the_job_and_buys_nothing_more(
    helping: Place, ledger: Ledger
) -> None:
    ana = await helping.caller()
    calls(helping, ("hold", {"name": "x"}))
    soon = helping.service.ports.clock.now() + 1_000
    job = await submitted(helping, ana, "helped", useful_until=soon)
    await asyncio.wait_for(ledger.entered.wait(), 20)
    while helping.service.ports.clock.now() < soon:
        await asyncio.sleep(0.05)
    ledger.held.set()
    view = await finished(helping, ana, job)
    assert (view["status"], creates(helping)) == ("expired", 1)
    left = await helping.service.store.read(lambda tx: tx.kept_answer(view["attempts"][0]["id"]))
    assert left is None
    verified(helping)


async def test_runs_are_deleted_only_once_no_turn_goes_on_from_them(
    tmp_path: Path, simulator: Running, ledger: Ledger
) -> None:
    settings = settings_for(tmp_path, simulator, delete_at_provider=True)
    place = await anew(Place(build(settings, types=small_app()), simulator, settings), tool_app(ledger))
    ana = await place.caller()
    calls(place, ("count_orders", ANNA))
    script(place, {"text": "20."})
    good = await finished(place, ana, await submitted(place, ana, "helped"))
    assert (good["status"], [one["reason"] for one in good["attempts"]]) == (
        "completed",
        ["first", "next_turn"],
    )
    calls(place, *[("count_orders", ANNA)] * 5)
    bad = await finished(place, ana, await submitted(place, ana, "narrow"))
    assert bad["failure"]["code"] == "tool_budget"
    await place.service.drain(grace=5)
    runs = {one["provider_response_id"] for view in (good, bad) for one in view["attempts"]}
    assert {run.id for run in simulator.world.runs.values() if run.deleted} == runs
    verified(place)


async def test_a_tool_that_keeps_stopping_its_worker_sets_its_job_aside(
    outside: Place, tmp_path: Path
) -> None:
    ana = await outside.caller()
    script(outside, {"tool_calls": [{"name": "die", "arguments": {}}]})
    job = await submitted(outside, ana, "deadly-tool")
    codes: list[int] = []
    while len(codes) < 8 and (not codes or codes[-1] != 0):
        codes.append(await work(outside, tmp_path))
    assert codes == [11, 11, 11, 0]
    view = await read_job(outside.service.ports, ana, job.id)
    assert (view["status"], view["failure"]["code"]) == ("failed", "worker_crashed")
    assert creates(outside) == 1
    verified(outside)

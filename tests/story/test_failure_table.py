"""The rest of the failure table (docs/failures.md): each shape by name, through the service and the official SDK."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from openai.types.responses import ResponseError

from backlane import Request
from backlane.service import control
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import creates, events_of, fault, finished, script, seen, submitted, verified
from tests.values import Note, small_app

CODES: tuple[str, ...] = get_args(ResponseError.model_fields["code"].annotation)
RETRIED = {"server_error", "rate_limit_exceeded", "vector_store_timeout"}
POLICY = {"bio_policy", "misalignment_policy_violation", "image_content_policy_violation"}


def cause_of(code: str) -> str:
    if code in POLICY:
        return "policy"
    return "design" if code == "data_residency_mismatch" else "input"


async def test_every_code_a_failed_run_can_have_says_whose_it_is_and_what_to_do(working: Place) -> None:
    ana = await working.caller()
    assert len(CODES) > 15
    for code in CODES:
        script(working, {"status": "failed", "error_code": code}, input_contains=f"<{code}>")
    jobs = {code: await submitted(working, ana, text=f"about <{code}>") for code in CODES}
    for code, job in jobs.items():
        view = await finished(working, ana, job)
        if code in RETRIED:
            assert (view["status"], len(view["attempts"])) == ("completed", 2), code
            continue
        failure = view["failure"]
        assert (failure["code"], failure["cause"]) == (code, cause_of(code)), failure
        assert failure["message"] and failure["next_steps"]
        assert len(view["attempts"]) == 1
    verified(working)


@pytest.mark.parametrize("reason", ["max_output_tokens", "max_messages", "steered", "a new one"])
async def test_an_incomplete_answer_keeps_what_was_written(working: Place, reason: str) -> None:
    ana = await working.caller()
    script(
        working,
        {"status": "incomplete", "incomplete_reason": reason, "text": "It was a dark and stormy night."},
    )
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["failure"]["code"], view["failure"]["partial_output"]) == ("incomplete", True)
    assert reason in view["failure"]["message"]
    assert float(view["cost"]["settled"]) > 0
    verified(working)


async def test_an_absurd_retry_after_is_capped_at_a_quarter_of_an_hour(working: Place) -> None:
    ana = await working.caller()
    fault(working, "rate_limit", retry_after="99999999")
    job = await submitted(working, ana)
    await seen(working, ana, job.id, lambda view: view["phase"] == "retry")
    row = await working.service.store.read(lambda tx: tx.job(job.id))
    assert row is not None and row.wait_until is not None
    assert row.wait_until - row.created_at < 17 * 60_000
    assert (await read_job(working.service.ports, ana, job.id))["attempts"][0]["state"] == "refused"


@pytest.mark.parametrize("values", [{}, {"retry_after": "http-date", "seconds": 1}, {"retry_after_ms": 40}])
async def test_a_rate_limit_is_waited_out_and_counts_nothing_as_bought(
    working: Place, values: dict[str, Any]
) -> None:
    ana = await working.caller()
    fault(working, "rate_limit", **values)
    view = await finished(working, ana, await submitted(working, ana))
    assert [one["state"] for one in view["attempts"]] == ["refused", "completed"]
    assert view["attempts"][0]["cost"] is None
    assert working.simulator.world.stats()["runs"] == {"completed": 1}
    verified(working)


async def test_a_storm_of_rate_limits_over_many_jobs_buys_each_once(working: Place) -> None:
    ana = await working.caller()
    fault(working, "rate_limit", retry_after_ms=100, times=6)
    jobs = [await submitted(working, ana) for _ in range(8)]
    views = [await finished(working, ana, job) for job in jobs]
    assert {view["status"] for view in views} == {"completed"}
    assert working.simulator.world.stats()["runs"] == {"completed": 8}
    verified(working)


MAYBE_BOUGHT: list[dict[str, Any]] = [
    {"fault": "server_error", "accept": True},
    {"fault": "server_error"},
    {"fault": "status", "status": 502, "accept": True},
    {"fault": "status", "status": 529, "accept": True},
    {"fault": "status", "status": 408, "accept": True},
    {"fault": "status", "status": 409},
    {"fault": "status", "status": 504, "headers": {"x-should-retry": "true"}, "accept": True},
    {"fault": "html_reply", "status": 502},
    {"fault": "lose_create_reply", "how": "reset"},
    {"fault": "lose_create_reply", "accept": False},
]


@pytest.mark.parametrize("order", MAYBE_BOUGHT, ids=lambda order: " ".join(map(str, order.values())))
async def test_what_may_have_been_bought_is_asked_about(working: Place, order: dict[str, Any]) -> None:
    ana = await working.caller()
    order = dict(order)
    fault(working, order.pop("fault"), **order)
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["phase"], view["attempts"][0]["state"]) == ("submission_unknown", "unknown")
    assert view["outcome"]["headline"] == "Nobody knows whether the provider took the request"
    assert creates(working) == 1
    verified(working)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 418])
async def test_a_wrong_request_is_not_sent_again_whatever_a_header_says(working: Place, status: int) -> None:
    ana = await working.caller()
    fault(working, "status", status=status, headers={"x-should-retry": "true"}, times=None)
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["status"], view["failure"]["cause"]) == ("failed", "design")
    assert creates(working) == 1


async def test_a_model_that_was_retired_fails_plainly_and_is_not_asked_for_again(working: Place) -> None:
    ana = await working.caller()
    working.simulator.world.switches.retired_models = ("gpt-6-luna",)
    view = await finished(working, ana, await submitted(working, ana))
    assert (view["failure"]["code"], view["failure"]["cause"]) == ("model_not_found", "design")
    assert view["failure"]["human_needed"]
    assert creates(working) == 1


async def test_a_create_without_an_answer_in_time_is_unknown_and_found_later(
    tmp_path: Path, simulator: Running
) -> None:
    settings = settings_for(tmp_path, simulator, call_timeout=0.5)
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ana, olga = await place.caller(), await place.caller("olga", "operator")
    fault(place, "slow", call="create", when="after", seconds=3)
    await place.service.start_worker()
    job = await submitted(place, ana)
    view = await finished(place, ana, job)
    assert view["phase"] == "submission_unknown"
    lost = simulator.world.log[0]["response_id"]
    await control.resolve(place.service.ports, olga, job.id, "attach", provider_response_id=lost)
    assert (await finished(place, ana, job))["status"] == "completed"
    assert creates(place) == 1
    verified(place)
    await place.service.drain(grace=5)


async def piped(port: int, to: int) -> asyncio.Server:
    """The provider's port opens: everything goes on to the simulator."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", to)
        await asyncio.gather(pipe(reader, forth), pipe(back, writer), return_exceptions=True)

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def test_a_provider_that_cannot_be_reached_is_tried_again_because_nothing_was_sent(
    tmp_path: Path, simulator: Running
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = settings_for(tmp_path, simulator, openai_base_url=f"http://127.0.0.1:{port}/v1")
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ana = await place.caller()
    await place.service.start_worker()
    job = await submitted(place, ana)
    view = await seen(place, ana, job.id, lambda view: len(view["attempts"]) >= 2)
    assert view["attempts"][0]["state"] == "not_sent"
    assert creates(place) == 0
    server = await piped(port, int(simulator.url.rpartition(":")[2]))
    view = await finished(place, ana, job)
    assert view["status"] == "completed"
    assert {one["reason"] for one in view["attempts"][1:]} == {"proven_unsent"}
    assert creates(place) == 1
    verified(place)
    await place.service.drain(grace=5)
    server.close()


async def test_a_name_that_resolves_to_nothing_is_waited_for(tmp_path: Path, simulator: Running) -> None:
    settings = settings_for(tmp_path, simulator, openai_base_url="http://provider.invalid/v1")
    place = Place(build(settings, types=small_app(), log=lambda line: None), simulator, settings)
    ana = await place.caller()
    await place.service.start_worker()
    job = await submitted(place, ana)
    view = await seen(place, ana, job.id, lambda view: view["phase"] == "retry")
    assert (view["status"], view["attempts"][0]["state"]) == ("queued", "not_sent")
    assert "next try" in view["waiting_on"]
    await place.service.drain(grace=5)


async def test_usage_that_changes_between_looks_is_booked_once_with_its_basis(working: Place) -> None:
    ana = await working.caller()
    fault(working, "changed_usage", add=1000, times=1)
    view = await finished(working, ana, await submitted(working, ana))
    lines = await working.service.store.read(lambda tx: tx.cost_lines(view["id"]))
    assert len(lines) == 1
    assert "genai-prices" in lines[0]["basis"]
    booked = [event for event in await events_of(working, ana, view["id"]) if event["type"] == "cost.settled"]
    assert [event["data"]["basis"] for event in booked] == [lines[0]["basis"]]
    verified(working)


async def test_a_result_kept_for_a_moment_only_is_gone_if_the_worker_was_away(place: Place) -> None:
    ana = await place.caller()
    place.simulator.world.switches.zdr = True
    place.simulator.world.switches.ephemeral_seconds = 0.2
    script(place, {"queued_seconds": 0, "running_seconds": 0.05})
    fault(place, "poll_after_ms", ms=1500, call="create")
    await place.service.start_worker()
    view = await finished(place, ana, await submitted(place, ana))
    assert (view["status"], view["failure"]["code"]) == ("failed", "result_gone")
    assert view["cost"] == {**view["cost"], "settled": None, "unpriced": 1}
    assert [row["code"] for row in await place.service.store.read(lambda tx: tx.incidents())] == [
        "result_gone"
    ]
    verified(place)


@pytest.mark.parametrize("answer", ["refuse", "accept", "conflict"])
async def test_a_cancel_after_the_end_is_settled_by_what_the_run_says(working: Place, answer: str) -> None:
    ana = await working.caller()
    working.simulator.world.switches.cancel_ended = answer  # type: ignore[assignment]
    script(working, {"queued_seconds": 0, "running_seconds": 0.2, "text": "done anyway"})
    fault(working, "poll_after_ms", ms=60_000, call="create")
    job = await submitted(working, ana, "plain")
    await seen(working, ana, job.id, lambda _: "completed" in working.simulator.world.stats()["runs"])
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    assert (view["status"], view["attempts"][0]["state"]) == ("canceled", "completed")
    assert [row["kind"] for row in view["artifacts"]] == ["late"]
    verified(working)


async def test_a_canceled_run_that_tells_its_usage_is_priced_and_keeps_what_was_written(
    working: Place,
) -> None:
    ana = await working.caller()
    switches = working.simulator.world.switches
    switches.usage_on_cancelled = switches.cancel_keeps_output = True
    script(working, {"queued_seconds": 0, "running_seconds": 3, "text": "otters " * 100})
    job = await submitted(working, ana, "plain")
    await seen(working, ana, job.id, lambda view: view["status"] == "running")
    await asyncio.sleep(0.2)
    await control.cancel(working.service.ports, ana, job.id, None)
    view = await finished(working, ana, job)
    assert (view["status"], [row["kind"] for row in view["artifacts"]]) == ("canceled", ["partial"])
    assert float(view["cost"]["settled"]) > 0
    verified(working)


async def test_a_run_may_wait_long_in_the_providers_queue(working: Place) -> None:
    ana = await working.caller()
    script(working, {"queued_seconds": 1.5, "running_seconds": 0.1})
    job = await submitted(working, ana)
    view = await seen(working, ana, job.id, lambda view: view["attempts"] and view["provider_response_id"])
    assert (view["status"], view["phase"]) == ("queued", "provider")
    assert (await finished(working, ana, job))["status"] == "completed"
    verified(working)


async def test_a_run_over_its_window_while_the_provider_queues_it_expires(working: Place) -> None:
    ana = await working.caller()
    script(working, {"queued_seconds": 100})
    job = await submitted(working, ana)
    row = await working.service.store.read(lambda tx: tx.job(job.id))
    await seen(working, ana, job.id, lambda view: view["provider_response_id"] is not None)
    row = await working.service.store.read(lambda tx: tx.job(job.id))
    assert row is not None
    late = replace(row, useful_until=working.service.ports.clock.now(), due_at=row.created_at)
    await working.service.store.write(lambda tx: tx.save(row, late, []))
    working.service.ports.notify()
    assert (await finished(working, ana, job))["status"] == "expired"
    verified(working)


async def test_a_run_that_fails_for_quota_holds_its_job_for_a_person(working: Place) -> None:
    ana = await working.caller()
    script(working, {"status": "failed", "error_code": "insufficient_quota"})
    job = await submitted(working, ana)
    view = await seen(working, ana, job.id, lambda view: view["phase"] == "incident")
    assert view["status"] == "queued"
    raised = await working.service.store.read(lambda tx: tx.incidents())
    assert [row["code"] for row in raised] == ["insufficient_quota"]
    assert creates(working) == 1


@pytest.mark.parametrize("rule", ["strict_store", "strict_schemas"])
async def test_a_request_that_the_accounts_rules_refuse_fails_as_the_types_design(
    tmp_path: Path, simulator: Running, rule: str
) -> None:
    app = small_app()

    @app.job("odd", authority="read_only")
    def odd(inputs: Note) -> Request:
        loose = {"format": {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object"}}}
        extra = {"text": loose} if rule == "strict_schemas" else {}
        return Request(model="gpt-6-luna", input=inputs.text, store=False, extra=extra)

    setattr(simulator.world.switches, rule, True)
    settings = settings_for(tmp_path, simulator)
    place = Place(build(settings, types=app, log=lambda line: None), simulator, settings)
    ana = await place.caller()
    await place.service.start_worker()
    view = await finished(place, ana, await submitted(place, ana, "odd"))
    assert (view["failure"]["code"], view["failure"]["cause"]) == ("request_refused", "design")
    assert creates(place) == 1
    await place.service.drain(grace=5)

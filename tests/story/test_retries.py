"""A job made again: in another lane, with other inputs, from what was kept; once, and never behind a looser gate."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from backlane import AsyncClient
from backlane.errors import InvalidRequest, NotAllowed, ServiceError
from backlane.service import control
from backlane.service.message import message
from backlane.service.read import read_job
from backlane.simulator.server import Running
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.story.acts import contents, creates, events_of, fault, finished, script, seen, submitted, verified
from tests.story.asking import asking
from tests.story.commands import command, served
from tests.story.steer_types import bodies, steer_app
from tests.values import small_app

HALF = "Kelp holds otters still."


def cut(half: str) -> dict[str, Any]:
    """A run that stops when it has written this: the simulator writes half of it, in fours."""
    return {"status": "incomplete", "text": half + "x" * len(half)}


LABEL = "ended before it was finished"


@pytest.fixture
async def place(tmp_path: Path, simulator: Running) -> AsyncIterator[Place]:
    """A service with the small app's types and interactive ones, whose worker runs."""
    chosen = settings_for(tmp_path, simulator)
    service = build(chosen, types=steer_app(small_app()), log=lambda line: None)
    await service.start_worker()
    yield Place(service, simulator, chosen)
    await service.drain(grace=0.1)


async def cut_short(place: Place, caller: Any, type_name: str = "plain", **more: Any) -> dict[str, Any]:
    """A job whose answer stopped before its end."""
    script(place, cut(HALF))
    view = await finished(place, caller, await submitted(place, caller, type_name, **more))
    assert (view["failure"]["code"], view["outcome"]["partial_output"]) == ("incomplete", True)
    return view


def partial_of(view: dict[str, Any]) -> str:
    return next(row["id"] for row in view["artifacts"] if row["kind"] == "partial")


async def rows(place: Place) -> dict[str, int]:
    """How many rows of each kind there are."""
    tables = ("jobs", "attempts", "turns", "events", "audit", "artifacts")
    sql = " union all ".join(f"select '{name}', count(*) from {name}" for name in tables)
    return dict(
        place.service.store.database.read_now(lambda db: [tuple(row) for row in db.exec_driver_sql(sql)])
    )


async def test_the_model_is_given_what_was_kept_and_told_what_it_is(place: Place) -> None:
    ana = await place.caller()
    old = await cut_short(place, ana)
    script(place, {"text": "The whole answer."})
    made, new = await control.retry(place.service.ports, ana, old["id"], start="partial")
    view = await finished(place, ana, made)
    assert (new, view["status"], view["retry_of"], view["continues"]) == (True, "completed", old["id"], None)
    assert (await contents(place, ana, view))["result"] == "The whole answer."
    asked, half, label = bodies(place)[-1]["input"]
    assert (asked["role"], half) == ("user", {"type": "message", "role": "assistant", "content": HALF})
    assert label["role"] == "developer" and LABEL in label["content"]
    # The provider promises nothing about going on from a run that is not whole.
    assert "previous_response_id" not in bodies(place)[-1]
    told = await events_of(place, ana, made.id)
    assert told[0]["data"]["goes_on_from"] == partial_of(old)
    assert [one["reason"] for one in view["attempts"]] == ["first"]
    assert creates(place) == 2
    verified(place)


async def test_only_a_name_is_stored_of_what_was_kept(place: Place) -> None:
    ana = await place.caller()
    old = await cut_short(place, ana)
    made, _ = await control.retry(place.service.ports, ana, old["id"], start="partial")
    await finished(place, ana, made)
    turn = await place.service.store.read(lambda tx: tx.turn(tx.attempts(made.id)[0].id))
    assert turn is not None
    assert json.loads(turn["items"]) == [{"type": "backlane_unfinished", "artifact": partial_of(old)}]
    assert HALF not in str(
        [turn, await place.service.store.read(lambda tx: (tx.job(made.id), tx.inputs(made.id)))]
    )
    verified(place)


@pytest.mark.parametrize("end", ["failed", "completed", "canceled"])
async def test_where_nothing_was_kept_a_retry_from_it_is_refused_and_nothing_is_stored(
    place: Place, end: str
) -> None:
    ana = await place.caller()
    if end == "failed":
        fault(place, "failed", code="invalid_prompt")
    elif end == "canceled":
        script(place, {"running_seconds": 100})
    job = await submitted(place, ana)
    if end == "canceled":
        await seen(place, ana, job.id, lambda view: view["status"] == "running")
        await control.cancel(place.service.ports, ana, job.id, None)
    assert (await finished(place, ana, job))["status"] == end
    before = await rows(place)
    with pytest.raises(InvalidRequest) as refused:
        await control.retry(place.service.ports, ana, job.id, start="partial")
    assert refused.value.errors == [
        {"pointer": "/from", "detail": "this job kept no unfinished answer; retry it from start"}
    ]
    assert (await rows(place), (await read_job(place.service.ports, ana, job.id))["retried_as"]) == (
        before,
        None,
    )
    made, new = await control.retry(place.service.ports, ana, job.id)
    assert new
    await finished(place, ana, made)
    verified(place)


async def test_what_was_kept_is_handed_on_while_no_more_is_written(place: Place) -> None:
    ana, ports = await place.caller(), place.service.ports
    old = await cut_short(place, ana)
    fault(place, "failed", code="invalid_prompt")
    second, _ = await control.retry(ports, ana, old["id"], start="partial")
    assert (await finished(place, ana, second))["outcome"]["partial_output"] is False
    script(place, cut("Further, but not whole. "))
    third, _ = await control.retry(ports, ana, second.id, start="partial")
    half = await finished(place, ana, third)
    assert [one["content"] for one in bodies(place)[-1]["input"] if one["role"] == "assistant"] == [HALF]
    fourth, _ = await control.retry(ports, ana, third.id, start="partial")
    await finished(place, ana, fourth)
    said = [one["content"] for one in bodies(place)[-1]["input"] if one["role"] == "assistant"]
    assert said == ["Further, but not whole. "] and half["outcome"]["partial_output"]
    # From the start is from the start, whatever the job before went on from.
    fifth, _ = await control.retry(ports, ana, fourth.id)
    await finished(place, ana, fifth)
    assert "assistant" not in json.dumps(bodies(place)[-1]["input"])
    verified(place)


async def test_what_is_said_after_it_and_sent_anew_still_has_it(place: Place) -> None:
    ana, ports = await place.caller(), place.service.ports
    script(place, cut(HALF))
    old = await finished(place, ana, await submitted(place, ana, "chat-tools"))
    script(place, {"tool_calls": [{"name": "look_up", "arguments": {"name": "ana"}}]})
    script(place, {"text": "Ana is known."})
    place.simulator.world.switches.retention_seconds = 0.0
    made, _ = await control.retry(ports, ana, old["id"], start="partial")
    view = await finished(place, ana, made)
    assert view["status"] == "completed"
    last = bodies(place)[-1]
    assert "previous_response_id" not in last
    kinds = [item.get("role", item["type"]) for item in last["input"]]
    assert kinds == ["user", "assistant", "developer", "function_call", "function_call_output"]
    said, _ = await message(ports, ana, made.id, "Shorter, please.")
    await finished(place, ana, said)
    assert [item.get("content") for item in bodies(place)[-1]["input"]].count(HALF) == 1
    verified(place)


async def test_a_continuation_goes_on_from_the_same_words_and_what_it_wrote(place: Place) -> None:
    ana, ports = await place.caller(), place.service.ports
    first = await finished(place, ana, await submitted(place, ana, "plain"))
    script(place, cut(HALF))
    job, _ = await message(ports, ana, first["id"], "Why?")
    await finished(place, ana, job)
    made, _ = await control.retry(ports, ana, job.id, start="partial")
    view = await finished(place, ana, made)
    assert (view["status"], view["continues"], view["retry_of"]) == ("completed", first["id"], job.id)
    last = bodies(place)[-1]
    assert last["previous_response_id"] == first["provider_response_id"]
    assert [item["content"] for item in last["input"]][:2] == ["Why?", HALF]
    again, _ = await control.retry(ports, ana, made.id)
    await finished(place, ana, again)
    assert [item["content"] for item in bodies(place)[-1]["input"]] == ["Why?"]
    verified(place)


async def test_a_closed_source_stays_closed_and_what_follows_it_is_gated(place: Place) -> None:
    ana = await place.caller()
    script(place, cut("canary-4c quotes someone"))
    old = await finished(place, ana, await submitted(place, ana, "plain", sensitive=True))
    async with asking(place) as http, asking(place, "rita", "reviewer") as rita:
        made = (await http.post(f"/jobs/{old['id']}/retry", json={"from": "partial"})).json()
        view = await seen(place, ana, made["id"], lambda one: one["status"] == "needs_review")
        assert "canary-4c" in json.dumps(bodies(place)[-1]["input"])
        review = (await rita.get(f"/reviews/{view['review']['id']}")).json()
        decision = {"decision": "approve", "payload_hash": review["payload_hash"]}
        assert (await rita.post(f"/reviews/{review['id']}/decisions", json=decision)).status_code == 201
        await seen(place, ana, made["id"], lambda one: one["status"] == "completed")
        paths = [
            f"/jobs/{one}{tail}" for one in (old["id"], made["id"]) for tail in ("", "/events", "/inputs")
        ]
        told = "".join([(await http.get(path)).text for path in paths])
        closed = await http.get(f"/artifacts/{partial_of(old)}/content")
    assert (view["phase"], view["sensitive"]) == ("sensitive", True)
    assert "canary-4c" not in told
    assert (closed.status_code, closed.json()["code"]) == (409, "not-released")
    verified(place)


async def test_a_refusal_that_quotes_what_a_retry_goes_on_from_is_closed_like_it(place: Place) -> None:
    ana = await place.caller()
    old = await cut_short(place, ana, "draft")
    fault(place, "status", status=400, message=f"cannot be read: {HALF}")
    made, _ = await control.retry(place.service.ports, ana, old["id"], start="partial")
    view = await finished(place, ana, made)
    assert (view["status"], view["failure"]["code"]) == ("failed", "request_refused")
    assert HALF not in json.dumps([view, await events_of(place, ana, made.id)])
    colleague = await read_job(place.service.ports, await place.caller("olga", "operator"), made.id)
    assert HALF in colleague["failure"]["message"]


async def test_the_gate_is_never_looser_with_other_inputs_and_the_draw_is_kept(place: Place) -> None:
    ana, ports = await place.caller(), place.service.ports
    secret = await submitted(place, ana, "plain", inputs={"secret": "her salary"})
    view = await finished(place, ana, secret)
    assert (view["phase"], view["sensitive"]) == ("sensitive", True)
    await control.cancel(ports, ana, secret.id, None)
    made, _ = await control.retry(ports, ana, secret.id, inputs={"text": "Nothing is secret in this."})
    assert (await finished(place, ana, made))["phase"] == "sensitive"
    assert made.sensitive == secret.sensitive and made.gate == secret.gate
    assert bodies(place)[-1]["input"] == "Nothing is secret in this."
    verified(place)


async def test_a_retry_takes_another_lane_other_inputs_and_another_window(place: Place) -> None:
    ana = await place.caller()
    old = await finished(place, ana, await submitted(place, ana, "other-way-round"))
    given = {
        "lane": "interactive",
        "inputs": {"text": "Something else."},
        "useful_until": "2031-01-01T16:00:00Z",
    }
    async with asking(place) as http:
        before = (await http.get(f"/jobs/{old['id']}")).json()["allowed"]
        made = await http.post(f"/jobs/{old['id']}/retry", json=given)
        job = made.json()
        assert (made.status_code, made.headers["location"]) == (202, f"/v1/jobs/{job['id']}")
        view = await seen(place, ana, job["id"], lambda one: one["status"] == "completed")
        assert (old["lane"], view["lane"]) == ("background", "interactive")
        assert view["timing"]["useful_until"].startswith("2031-01-01T16:00:00")
        assert (await http.get(f"/jobs/{job['id']}/inputs")).json() == {"text": "Something else."}
        others: tuple[dict[str, Any], ...] = ({}, given, {"from": "partial"}, {"lane": "background"})
        for other in others:
            again = await http.post(f"/jobs/{old['id']}/retry", json=other)
            assert (again.status_code, again.json()["id"]) == (200, job["id"])
        after = (await http.get(f"/jobs/{old['id']}")).json()
    assert (after["retried_as"], after["allowed"]) == (job["id"], before)
    assert creates(place) == 2
    verified(place)


async def test_a_retry_is_validated_anew(place: Place) -> None:
    ana = await place.caller()
    old = await finished(place, ana, await submitted(place, ana))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"inputs": {}}, "/inputs/text"), ({"lane": "slow"}, "/lane"),
        ({"useful_until": "2020-01-01T00:00:00Z"}, "/useful_until"), ({"useful_until": "2031-01-01"}, "/useful_until"),
        ({"from": "end"}, "/from"), ({"start": "partial"}, "/start"), ({"more": 1}, "/more"),
    ]  # fmt: skip
    async with asking(place) as http:
        before = await rows(place)
        for body, pointer in wrong:
            answer = await http.post(f"/jobs/{old['id']}/retry", json=body)
            assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer), answer.text
        narrow = await http.post(f"/jobs/{old['id']}/retry", json={"lane": "interactive"})
        assert (narrow.status_code, narrow.json()["code"]) == (409, "not-available")
        assert await rows(place) == before
    verified(place)


async def test_an_open_job_is_not_made_again_from_what_it_wrote_so_far(place: Place) -> None:
    ana = await place.caller()
    script(place, {"running_seconds": 100})
    job = await submitted(place, ana)
    with pytest.raises(NotAllowed):
        await control.retry(place.service.ports, ana, job.id, start="partial")
    await control.cancel(place.service.ports, ana, job.id, None)
    await finished(place, ana, job)
    verified(place)


async def test_the_command_and_the_client_take_every_option(place: Place, tmp_path: Path) -> None:
    ana = await place.caller()
    old, plain = await cut_short(place, ana), await finished(place, ana, await submitted(place, ana))
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"text": "Something else."}))
    async with served(place) as url:
        key = await place.key()
        here = {"BACKLANE_URL": url, "BACKLANE_API_KEY": key}
        for words, code, told in (
            (["--from", "partial"], 1, "this job kept no unfinished answer; retry it from start"),
            (["--from", "end"], 2, "--from"),
            (["--useful-until", "noon"], 2, "must be a time with its zone, such as 2026-11-25T16:00:00Z"),
            (["--useful-until", "2031-01-01T16:00:00"], 2, "must be a time with its zone"),
            (["--inputs", str(tmp_path / "none.json")], 2, "name a readable JSON file"),
            (["--lane", "interactive"], 3, "No lane can take this job"),
        ):
            failed = await command(here, "retry", plain["id"], *words)
            assert (failed.code, told in failed.err) == (code, True), failed
        assert (await read_job(place.service.ports, ana, plain["id"]))["retried_as"] is None
        words = ["--from", "partial", "--lane", "background", "--inputs", str(other), "--useful-until"]
        done = await command(here, "retry", old["id"], *words, "2031-01-01T16:00:00Z", "--json")
        made = json.loads(done.out)
        assert (made["retry_of"], made["timing"]["useful_until"][:10]) == (old["id"], "2031-01-01")
        await seen(place, ana, made["id"], lambda one: one["status"] == "completed")
        sent = bodies(place)[-1]["input"]
        assert [one["content"] for one in sent][:2] == ["Something else.", HALF]
        again = await command(here, "retry", old["id"], "--from", "start")
        assert (again.code, made["id"] in again.out) == (0, True)
        assert "it was made again before" in again.err
        half = await cut_short(place, ana)
        async with AsyncClient(url, key) as client:
            job = await client.retry(
                half["id"], from_="partial", inputs={"text": "Third."}, lane="background"
            )
            with pytest.raises(ServiceError) as refused:
                await client.retry(plain["id"], from_="partial")
    assert (job.data["retry_of"], refused.value.status) == (half["id"], 422)
    await seen(place, ana, job.id, lambda one: one["status"] == "completed")
    assert [one["content"] for one in bodies(place)[-1]["input"]][:2] == ["Third.", HALF]
    verified(place)

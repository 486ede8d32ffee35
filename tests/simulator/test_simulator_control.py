"""The control surface: the truth log, the script, the clock, and its own refusals."""

import json
import socket
import urllib.error
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest
from openai import OpenAI

from backlane.simulator.app import create_simulator
from backlane.simulator.faults import read_fault
from backlane.simulator.server import Running, running_simulator, serve
from tests.simulator.provider_strictness import checked_response

Finish = Callable[..., dict[str, Any]]


def test_the_truth_log_holds_every_call_in_order(simulator: Running, client: OpenAI) -> None:
    started = client.responses.create(model="m", input="Hello there.", background=True, metadata={"a": "b"})
    client.responses.retrieve(started.id)
    client.responses.cancel(started.id)
    client.responses.input_items.list(started.id)
    client.responses.delete(started.id)
    log = simulator.log()
    assert [line["n"] for line in log] == [1, 2, 3, 4, 5]
    assert [line["call"] for line in log] == ["create", "retrieve", "cancel", "input_items", "delete"]
    assert {line["response_id"] for line in log} == {started.id}
    assert all(line["metadata"] == {"a": "b"} and line["model"] == "m" for line in log)
    assert [line["outcome"] for line in log] == ["accepted"] + ["answered"] * 4
    assert log[0]["request_id"] == started._request_id


def test_stats_count_calls_and_runs(simulator: Running, client: OpenAI) -> None:
    simulator.script({"then": {"status": "failed"}})
    for _ in range(3):
        client.responses.create(model="m", input="Hello there.", background=True)
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="m", input="Hello there.", temperature=9)
    stats = simulator.stats()
    assert (stats["creates"], stats["accepted"], stats["refused"], stats["in_flight"]) == (4, 3, 1, 3)
    simulator.advance(100)
    assert simulator.stats()["runs"] == {"failed": 1, "completed": 2}
    assert (stats["streams"], stats["batches"], stats["webhooks"], stats["duplicates"]) == (0, 0, 0, 0)


def test_a_script_says_how_runs_end(simulator: Running, finish: Finish) -> None:
    usage = {"input_tokens": 10, "output_tokens": 20, "cached_tokens": 4, "reasoning_tokens": 5}
    quote = {"quote": "otters float", "url": "https://example.test/otters", "title": "Otters"}
    simulator.script(
        {"then": {"text": "Sea otters float.", "citations": [quote], "usage": usage, "service_tier": "flex"}},
        {"then": {"json": {"verdict": "ok"}}},
        {"then": {"status": "failed", "error_code": "invalid_prompt", "error_message": "No."}},
        {"then": {"status": "incomplete", "incomplete_reason": "content_filter"}},
        {"then": {"status": "cancelled"}},
        {"then": {"refusal": "I would rather not."}},
        {
            "then": {
                "tool_calls": [{"name": "look", "arguments": {"x": 1}}, {"name": "look", "arguments": "{}"}]
            }
        },
        {"then": {"text": "ab ", "text_characters": 5000}},
    )
    runs = [checked_response(finish()) for _ in range(8)]
    note = runs[0].output[-1].content[0].annotations[0]
    assert runs[0].output_text[note.start_index : note.end_index] == "otters float"
    assert (runs[0].usage.total_tokens, runs[0].service_tier) == (30, "flex")
    assert json.loads(runs[1].output_text) == {"verdict": "ok"}
    statuses = [run.status for run in runs]
    assert statuses == ["completed"] * 2 + ["failed", "incomplete", "cancelled"] + ["completed"] * 3
    assert (runs[2].error.code, runs[5].output[-1].content[0].refusal) == (
        "invalid_prompt",
        "I would rather not.",
    )
    assert [item.type for item in runs[6].output] == ["reasoning", "function_call", "function_call"]
    assert len(runs[7].output_text) == 5000


def test_a_script_picks_its_requests(simulator: Running, finish: Finish) -> None:
    simulator.script(
        {"match": {"model": "other"}, "then": {"text": "by model"}, "times": None},
        {"match": {"metadata": {"k": "v"}, "nth": 2}, "then": {"text": "second"}},
        {"match": {"instructions_contains": "French"}, "then": {"text": "oui"}},
    )
    told = [
        finish(model="other"),
        finish(metadata={"k": "v"}),
        finish(metadata={"k": "v", "more": "x"}),
        finish(instructions="Answer in French."),
        finish(model="other"),
    ]
    texts = [checked_response(one).output_text for one in told]
    assert [texts[0], texts[2], texts[3], texts[4]] == ["by model", "second", "oui", "by model"]
    assert texts[1].startswith("# Summary")


def test_raw_output_items_pass_through(simulator: Running, finish: Finish) -> None:
    listed = [{"id": "mcpl_1", "type": "mcp_list_tools", "server_label": "s", "tools": []}]
    simulator.script({"then": {"output": listed}})
    assert finish()["output"] == listed


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("faults", [{"fault": "rain"}], "unknown fault 'rain'"),
        ("faults", [{"fault": "gone", "depth": 1}], "unknown parameter 'depth'"),
        ("faults", [{"fault": "slow", "times": 0}], "times must be a positive number"),
        ("faults", [{"fault": "slow", "call": "dance"}], "unknown call 'dance'"),
        ("faults", [{"fault": "slow", "match": {"colour": 1}}], "unknown match 'colour'"),
        ("script", [{"match": {}}], "needs `then`"),
        ("script", [{"then": {"mood": 1}}], "unknown then 'mood'"),
        ("script", [{"then": {"status": "done"}}], "then.status must be one of"),
        ("clock", {"advance": -1}, "at least 0"),
        ("profile", {"speeed": 1}, "unknown switch 'speeed'"),
        ("profile", {"speed": "quick"}, "switch speed"),
    ],
)
def test_a_wrong_order_is_refused_by_name(simulator: Running, path: str, body: Any, told: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        simulator.control(path, body)
    assert refused.value.code == 422
    assert told in json.loads(refused.value.read())["detail"]


async def test_only_this_machine_may_steer() -> None:
    app = create_simulator(clock="virtual")
    for host, status in (("203.0.113.9", 403), ("127.0.0.1", 200), ("::1", 200)):
        transport = httpx2.ASGITransport(app=app, client=(host, 1))
        async with httpx2.AsyncClient(transport=transport, base_url="http://sim") as near:
            assert (await near.get("/_sim/stats")).status_code == status
            assert (await near.get("/v1/responses/resp_x")).status_code == 401


def test_reset_empties_everything(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "rate_limit", "call": "retrieve"})
    simulator.profile(zdr=True)
    client.responses.create(model="m", input="Hello there.", background=True)
    simulator.reset()
    assert simulator.log() == []
    assert simulator.stats()["accepted"] == 0
    assert simulator.control("faults")["waiting"] == []
    assert simulator.control("profile")["zdr"] is False


def story(url: str, client: OpenAI) -> list[Any]:
    """The same calls, and every byte of what came back."""
    replies: list[Any] = []
    for text in ("The gate is green. It was built in 1893.", "The quay is long."):
        made = client.responses.with_raw_response.create(model="m", input=text, background=True)
        httpx2.post(f"{url}/_sim/clock", json={"advance": 60})
        read = client.responses.with_raw_response.retrieve(made.parse().id)
        replies += [
            (one.content, sorted(one.headers.items())) for one in (made.http_response, read.http_response)
        ]
    return replies


def test_the_same_seed_and_requests_give_the_same_bytes() -> None:
    told: list[list[Any]] = []
    for seed in (3, 3, 4):
        with (
            running_simulator(seed=seed, clock="virtual") as simulator,
            OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0) as client,
        ):
            told.append(story(simulator.url, client))
    assert told[0] == told[1] != told[2]


def test_on_a_real_clock_speed_shortens_the_wait() -> None:
    with (
        running_simulator(queued_seconds=(0, 0), running_seconds=(1, 1), speed=1e9) as simulator,
        OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0) as client,
    ):
        started = client.responses.create(model="m", input="The gate is green.", background=True)
        assert client.responses.retrieve(started.id).status == "completed"


def test_a_taken_port_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert serve("127.0.0.1", port) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert (
        told.err
        == f"simulator: cannot listen on 127.0.0.1:{port}: Address already in use; use another --port\n"
    )


def test_a_test_in_the_same_process_may_steer_the_world_itself(simulator: Running, finish: Finish) -> None:
    simulator.world.switches.speed = 20.0
    simulator.world.script({"then": {"text": "Said directly."}})
    simulator.world.weather.add(read_fault({"fault": "slow_run"}))
    simulator.world.weather.clear()
    assert checked_response(finish()).output_text == "Said directly."
    assert simulator.world.stats() == simulator.stats()
    simulator.world.reset()
    assert simulator.world.switches.speed == 1.0

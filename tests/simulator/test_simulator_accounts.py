"""What an account may do, when, and how long it waits: stops, incidents, limits, tiers and completion windows."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI

from backlane.simulator.server import Running
from tests.simulator.provider_strictness import checked_response


def start(client: OpenAI, **parameters: Any) -> Any:
    given = {"model": "m", "input": "The gate is green.", "background": True} | parameters
    return client.responses.create(**given)


def windowed(client: OpenAI, window: str, continuation: str | None = None, **parameters: Any) -> str:
    options = {"completion_window": window} | ({"continuation_id": continuation} if continuation else {})
    return start(client, background_options=options, **parameters).id


def taken(simulator: Running, run_id: str) -> float:
    run = simulator.world.runs[run_id]
    return run.ends_at - run.created_at


@pytest.fixture
def started(simulator: Running, client: OpenAI) -> Iterator[str]:
    yield start(client).id


@pytest.mark.parametrize(
    ("account", "raised", "code"),
    [
        ("revoked", openai.AuthenticationError, "invalid_api_key"),
        ("forbidden", openai.PermissionDeniedError, "unsupported_country_region_territory"),
    ],
)
def test_a_key_that_is_revoked_midway_refuses_every_call_until_it_is_lifted(
    simulator: Running, client: OpenAI, started: str, account: str, raised: type[Exception], code: str
) -> None:
    simulator.faults({"fault": "revoke_key", "account": account, "call": "create", "match": {"nth": 2}})
    start(client)
    calls = (start, lambda one: one.responses.retrieve(started), lambda one: one.responses.cancel(started))
    for call in calls:
        with pytest.raises(raised) as refused:
            call(client)
        assert getattr(refused.value, "code", None) == code
    assert [line["outcome"] for line in simulator.log()] == ["accepted"] * 2 + ["refused"] * 3
    assert simulator.control("profile")["account"] == account
    simulator.profile(account="open")
    assert start(client).status == "queued"
    assert client.responses.cancel(started).status == "cancelled"


@pytest.mark.parametrize(
    ("account", "code"), [("quota", "insufficient_quota"), ("billing", "credit_balance_exhausted")]
)
def test_a_stop_for_money_refuses_creates_and_nothing_else(
    simulator: Running, client: OpenAI, started: str, account: str, code: str
) -> None:
    simulator.faults({"fault": "revoke_key", "account": account, "call": "retrieve"})
    assert client.responses.retrieve(started).id == started
    with pytest.raises(openai.RateLimitError) as refused:
        start(client)
    assert (refused.value.code, refused.value.type) == (code, "insufficient_quota")
    assert client.responses.retrieve(started).id == started


def test_an_incident_hits_some_of_the_calls_for_some_time(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "server_error", "rate": 0.5, "lasts": 300})
    failed = 0
    for _ in range(30):
        try:
            start(client)
        except openai.InternalServerError:
            failed += 1
    assert 5 < failed < 25
    assert [one["fault"] for one in simulator.control("faults")["waiting"]] == ["server_error"]
    simulator.advance(300)
    assert simulator.control("faults")["waiting"] == []
    for _ in range(10):
        start(client)
    assert simulator.stats()["refused"] == failed


def test_flex_may_be_unavailable_while_the_rest_is_not(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "flex_unavailable", "times": None})
    assert start(client).status == "queued"
    with pytest.raises(openai.RateLimitError, match="Resource Unavailable") as refused:
        start(client, service_tier="flex")
    assert refused.value.code == "resource_unavailable"
    assert start(client, service_tier="default").status == "queued"
    assert simulator.stats()["accepted"] == 2


@pytest.mark.parametrize(
    ("asked", "reported"),
    [
        (None, "default"),
        ("auto", "default"),
        ("flex", "flex"),
        ("fast", "priority"),
        ("priority", "priority"),
    ],
)
def test_the_tier_that_was_used_is_reported(
    simulator: Running, client: OpenAI, asked: str | None, reported: str
) -> None:
    run_id = start(client, **({"service_tier": asked} if asked else {})).id
    simulator.advance(100)
    assert client.responses.retrieve(run_id).service_tier == reported


def test_limits_are_told_for_requests_tokens_and_the_project(simulator: Running, client: OpenAI) -> None:
    simulator.profile(project_tokens_per_minute=1000)
    start(client)
    raw = client.responses.with_raw_response.create(model="m", input="The gate is green.", background=True)
    for kind in ("requests", "tokens", "project-tokens"):
        limit, left = (int(raw.headers[f"x-ratelimit-{word}-{kind}"]) for word in ("limit", "remaining"))
        assert left < limit
        assert raw.headers[f"x-ratelimit-reset-{kind}"].endswith("ms")
    assert raw.headers["x-ratelimit-limit-project-tokens"] == "1000"


@pytest.mark.parametrize(("window", "hours"), [("2h", 2), ("8h", 8)])
def test_a_run_in_a_window_takes_its_time_and_says_nothing_of_the_window(
    simulator: Running, client: OpenAI, window: str, hours: int
) -> None:
    run_id = windowed(client, window)
    assert 0.1 * hours * 3600 <= taken(simulator, run_id) <= 0.6 * hours * 3600
    simulator.advance(600)
    assert client.responses.retrieve(run_id).status == "queued"
    simulator.advance(hours * 3600)
    shown = client.responses.with_raw_response.retrieve(run_id).http_response.json()
    assert checked_response(shown).status == "completed"
    assert "background_options" not in shown


def test_speed_and_a_share_shorten_windows(simulator: Running, client: OpenAI) -> None:
    simulator.profile(window_share=[0.5, 0.5], speed=10)
    assert taken(simulator, windowed(client, "2h")) == pytest.approx(360)
    assert taken(simulator, windowed(client, "soonest")) < 1


def test_a_continuation_goes_ahead_in_its_own_window_and_model_only(
    simulator: Running, client: OpenAI
) -> None:
    simulator.profile(window_share=[0.5, 0.5])
    first = windowed(client, "2h", "c")
    others = [
        windowed(client, "2h", "d"),
        windowed(client, "2h"),
        windowed(client, "2h", "c", model="other"),
    ]
    assert {round(taken(simulator, one)) for one in (first, *others)} == {3600}
    assert round(taken(simulator, windowed(client, "2h", "c"))) == 360 + 3240 // 4
    assert round(taken(simulator, windowed(client, "8h", "c"))) == 4 * 3600


def test_a_window_may_be_missed(simulator: Running, client: OpenAI) -> None:
    simulator.faults({"fault": "late_window", "seconds": 1800})
    run_id = windowed(client, "2h")
    simulator.advance(2 * 3600 + 1700)
    assert client.responses.retrieve(run_id).status == "in_progress"
    simulator.advance(200)
    assert client.responses.retrieve(run_id).status == "completed"


def test_a_window_cannot_be_streamed(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        list(client.responses.create(**{**WINDOWED, "stream": True}))
    assert refused.value.param == "stream"


WINDOWED: dict[str, Any] = {
    "model": "m",
    "input": "x",
    "background": True,
    "background_options": {"completion_window": "2h"},
}


@pytest.mark.parametrize(
    "given",
    [
        {"fault": "revoke_key", "account": "lost"},
        {"fault": "lose_webhook", "call": "create"},
        {"fault": "server_error", "lasts": "long"},
    ],
)
def test_a_fault_that_cannot_be_is_refused(simulator: Running, given: dict[str, Any]) -> None:
    with pytest.raises(Exception, match="422"):
        simulator.faults(given)

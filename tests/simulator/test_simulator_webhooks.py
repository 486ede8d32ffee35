"""Webhooks out: what is told, to whom, signed how, tried how often, on both clocks."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx2
import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from backlane.cli.main import app as command_line
from backlane.simulator.http_delivery import is_near
from backlane.simulator.server import Running, running_simulator, serve
from tests.simulator.receiver import SECRET, Came, Receiver, receiving

OTHER = "whsec_b3RoZXItc2VjcmV0LW9mLTMyLWJ5dGVzISEhISEhISE="


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def simulator(receiver: Receiver) -> Iterator[Running]:
    """On a virtual clock: nothing is sent unless the clock is moved."""
    url = receiver.url + "/hooks"
    with running_simulator(seed=1, clock="virtual", webhook_url=url, webhook_secret=SECRET) as running:
        yield running


@pytest.fixture
def live(receiver: Receiver) -> Iterator[Running]:
    """On the real clock, with runs that end at once."""
    with running_simulator(seed=1, speed=1e9, webhook_url=receiver.url, webhook_secret=SECRET) as running:
        yield running


@pytest.fixture
def client(simulator: Running) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0) as made:
        yield made


@pytest.fixture
def live_client(live: Running) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=live.base_url, max_retries=0, webhook_secret=SECRET) as made:
        yield made


def start(client: OpenAI, **parameters: Any) -> str:
    given = {"model": "m", "input": "The gate is green.", "background": True} | parameters
    return client.responses.create(**given).id


def told(came: list[Came]) -> list[tuple[str, str]]:
    events = [json.loads(one.body) for one in came]
    return [(event["type"], event["data"]["id"]) for event in events]


def hooks(simulator: Running) -> list[dict[str, Any]]:
    return [line for line in simulator.log() if line["call"] == "webhook"]


def test_the_official_client_accepts_what_is_sent(
    live: Running, live_client: OpenAI, receiver: Receiver
) -> None:
    run_id = start(live_client)
    came = receiver.next()
    event = live_client.webhooks.unwrap(came.body, came.headers)
    assert (event.type, event.data.id, event.object) == ("response.completed", run_id, "event")
    assert event.id.startswith("evt_") and came.headers["webhook-id"].startswith("wh_")
    assert came.headers["user-agent"] == "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
    with pytest.raises(InvalidWebhookSignatureError):
        live_client.webhooks.unwrap(came.body, came.headers, secret=OTHER)
    with pytest.raises(InvalidWebhookSignatureError):
        live_client.webhooks.verify_signature(came.body + b" ", came.headers)


@pytest.mark.parametrize("status", ["completed", "failed", "incomplete"])
def test_each_way_to_end_has_its_event(
    simulator: Running, client: OpenAI, receiver: Receiver, status: str
) -> None:
    simulator.script({"then": {"status": status, "running_seconds": 100}})
    run_id = start(client)
    simulator.advance(50)
    assert receiver.came == []
    simulator.advance(60)
    assert told(receiver.came) == [(f"response.{status}", run_id)]
    [line] = hooks(simulator)
    assert (line["response_id"], line["outcome"], line["statuses"]) == (run_id, "delivered", [204])
    assert json.loads(receiver.came[0].body)["created_at"] == int(line["at"])


def test_a_cancel_is_told_at_once_and_the_run_is_not_told_of_again(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    run_id = start(client)
    client.responses.cancel(run_id)
    client.responses.cancel(run_id)
    simulator.advance(0)
    assert told(receiver.came) == [("response.cancelled", run_id)]
    simulator.advance(1000)
    assert len(receiver.came) == 1


def test_a_cancel_on_a_real_clock_needs_nobody_to_move_it(
    live: Running, live_client: OpenAI, receiver: Receiver
) -> None:
    live.script({"then": {"running_seconds": 3600}})
    run_id = start(live_client)
    live_client.responses.cancel(run_id)
    receiver.next()
    assert told(receiver.came) == [("response.cancelled", run_id)]


def test_a_run_that_completes_after_its_cancel_is_told_of_twice(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    simulator.faults({"fault": "complete_after_cancel", "seconds": 30})
    run_id = start(client)
    client.responses.cancel(run_id)
    simulator.advance(1000)
    assert told(receiver.came) == [("response.cancelled", run_id), ("response.completed", run_id)]


def test_only_background_runs_are_told_of(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    start(client, background=False)
    deleted = start(client)
    simulator.profile(delete_in_flight=True)
    client.responses.delete(deleted)
    simulator.advance(1000)
    assert receiver.came == []


def test_a_retry_may_keep_the_stamp_of_its_first_attempt(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    simulator.profile(retry_timestamp="kept")
    receiver.answers += [500, 404]
    start(client)
    simulator.advance(1000)
    sent = {(one.headers["webhook-timestamp"], one.headers["webhook-signature"]) for one in receiver.came}
    assert (len(receiver.came), len(sent)) == (3, 1)


def test_an_answer_that_is_no_yes_is_followed_by_tries_further_and_further_apart(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    receiver.answers += [500, 404, 302]
    start(client)
    simulator.advance(1000)
    stamps = [int(one.headers["webhook-timestamp"]) for one in receiver.came]
    assert [later - first for first, later in pairwise(stamps)] == [5, 10, 20]
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 1
    assert len({one.headers["webhook-signature"] for one in receiver.came}) == 4
    assert len({one.body for one in receiver.came}) == 1
    [line] = hooks(simulator)
    assert (line["attempts"], line["statuses"]) == (4, [500, 404, 302, 204])
    stats = simulator.stats()
    assert (stats["webhooks"], stats["webhook_attempts"], stats["webhooks_delivered"]) == (1, 4, 1)
    assert stats["calls"] == 1


def test_after_three_days_nobody_is_told_any_more(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    receiver.answers += [503] * 100
    start(client)
    simulator.advance(69 * 3600)
    assert hooks(simulator)[0]["outcome"] == "retrying"
    simulator.advance(30 * 24 * 3600)
    [line] = hooks(simulator)
    assert line["outcome"] == "given up"
    assert line["attempts"] == len(receiver.came)
    stamps = [int(one.headers["webhook-timestamp"]) for one in receiver.came]
    assert 68 * 3600 < stamps[-1] - stamps[0] <= 72 * 3600


def test_nobody_there_is_a_try_too(client: OpenAI, simulator: Running, receiver: Receiver) -> None:
    simulator.world.webhooks.endpoints["we_configured"].url = "http://127.0.0.1:9/hooks"
    start(client)
    simulator.advance(10)
    [line] = hooks(simulator)
    assert line["statuses"] == [None, None]
    simulator.world.webhooks.endpoints["we_configured"].url = receiver.url
    simulator.advance(100)
    assert hooks(simulator)[0]["statuses"] == [None, None, 204]


def test_a_webhook_stays_on_this_machine_unless_told_otherwise(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    # An address that is not this machine's own, although it leads to it.
    away = receiver.url.replace("127.0.0.1", "0.0.0.0")
    simulator.world.webhooks.endpoints["we_configured"].url = away
    start(client)
    simulator.advance(5)
    assert (hooks(simulator)[0]["statuses"], receiver.came) == ([None], [])
    simulator.profile(webhooks_anywhere=True)
    simulator.advance(100)
    assert hooks(simulator)[0]["statuses"][-1] == 204
    near = ("http://[::1]:3/x", "http://localhost/", "http://127.0.0.9")
    assert all(is_near(url) for url in near) and not is_near("http://a") and not is_near("mailto:a")


async def test_a_world_without_sockets_carries_its_own_deliveries() -> None:
    from backlane.simulator.app import create_simulator

    sent: list[tuple[str, str]] = []
    app = create_simulator(clock="virtual", webhook_url="https://product.test/h", webhook_secret=SECRET)
    world = app.state.world

    async def deliver(url: str, headers: Any, body: bytes) -> int | None:
        sent.append((url, json.loads(body)["data"]["id"]))
        return 200

    world.deliver = deliver
    transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 1))
    async with httpx2.AsyncClient(transport=transport, base_url="http://sim/v1") as near:
        body = {"model": "m", "input": "x", "background": True}
        made = await near.post("/responses", json=body, headers={"authorization": "Bearer k"})
    due = world.webhooks.next_due()
    assert due is not None
    world.advance(due - world.now())
    await world.webhooks.deliver_due()
    assert sent == [("https://product.test/h", made.json()["id"])]
    assert world.webhooks.next_due() is None


def test_a_reset_forgets_what_was_due(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    start(client)
    simulator.reset()
    simulator.advance(1000)
    assert receiver.came == []
    start(client)
    simulator.advance(1000)
    assert len(receiver.came) == 1


@pytest.mark.parametrize("secret", [None, "", "whsec_%%%"])
def test_a_url_without_a_secret_that_can_sign_does_not_start(
    secret: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serve(port=0, webhook_url="http://127.0.0.1:9/", webhook_secret=secret) == 1
    assert "secret" in capsys.readouterr().err


def test_the_command_takes_a_webhook_url(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command_line(["simulator", "--webhook-url", "http://127.0.0.1:9/"])
    assert "needs a webhook secret" in capsys.readouterr().err

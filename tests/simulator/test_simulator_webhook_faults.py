"""What can go wrong with a webhook, each by its name, and what the official client makes of it."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import InvalidWebhookSignatureError, OpenAI

from backlane.simulator.server import Running, running_simulator
from backlane.simulator.webhook_faults import WEBHOOK_FAULTS
from tests.simulator.receiver import SECRET, Came, Receiver, receiving


@pytest.fixture(scope="module")
def _receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def receiver(_receiver: Receiver) -> Receiver:
    _receiver.came.clear()
    return _receiver


@pytest.fixture
def simulator(receiver: Receiver) -> Iterator[Running]:
    """On the real clock, so that the official client can judge the timestamps; runs end at once."""
    switches = {"speed": 1e9, "webhook_retry_seconds": 3600}
    with running_simulator(seed=1, webhook_url=receiver.url, webhook_secret=SECRET, **switches) as running:
        yield running
        receiver.answers.clear()


@pytest.fixture
def client(simulator: Running) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0, webhook_secret=SECRET) as made:
        yield made


def ended(simulator: Running, client: OpenAI, **parameters: Any) -> str:
    """A run that has ended and was told of, as far as it is."""
    given = {"model": "m", "input": "The gate is green.", "background": True} | parameters
    run_id = client.responses.create(**given).id
    simulator.advance(0.01)
    return run_id


def named(came: list[Came]) -> list[str]:
    return [json.loads(one.body)["data"]["id"] for one in came]


def lines(simulator: Running) -> list[dict[str, Any]]:
    return [line for line in simulator.log() if line["call"] == "webhook"]


def test_a_webhook_can_be_lost(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    simulator.faults({"fault": "lose_webhook", "match": {"metadata": {"lost": "yes"}}})
    lost, told = ended(simulator, client, metadata={"lost": "yes"}), ended(simulator, client)
    simulator.advance(5 * 24 * 3600)
    assert named(receiver.came) == [told]
    first = lines(simulator)[0]
    assert (first["response_id"], first["outcome"], first["attempts"]) == (lost, "lost", 0)
    assert first["fault"] == "lose_webhook"


def test_a_webhook_can_come_a_hundred_times(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    simulator.faults({"fault": "duplicate_webhook", "copies": 100})
    run_id = ended(simulator, client)
    assert named(receiver.came) == [run_id] * 100
    assert len({one.headers["webhook-id"] for one in receiver.came}) == 1
    assert simulator.stats()["webhooks"] == 100
    assert {line["n"] for line in lines(simulator)} == set(range(2, 102))


def test_a_webhook_can_be_late(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    simulator.faults({"fault": "delay_webhook", "seconds": 200})
    run_id = ended(simulator, client)
    simulator.advance(190)
    assert receiver.came == []
    simulator.advance(20)
    assert named(receiver.came) == [run_id]


def test_an_endpoint_can_be_down_for_a_time(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    simulator.faults({"fault": "endpoint_down", "seconds": 3 * 3600})
    run_id = ended(simulator, client)
    simulator.advance(3600)
    assert receiver.came == []
    simulator.advance(2 * 3600)
    # Tried after one hour and after three: by then it is up.
    assert named(receiver.came) == [run_id]
    [line] = lines(simulator)
    assert (line["fault"], line["statuses"], line["outcome"]) == (
        "endpoint_down",
        [None, None, 204],
        "delivered",
    )


def test_webhooks_can_come_in_another_order(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    simulator.faults({"fault": "reorder_webhooks", "times": 2})
    first, second, third = (ended(simulator, client) for _ in range(3))
    came = named(receiver.came)
    assert (came[0], set(came[1:]), len(came)) == (third, {first, second}, 3)


def test_a_webhook_can_come_before_its_create_is_answered(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    simulator.script({"then": {"queued_seconds": 3600}, "times": None})
    simulator.faults({"fault": "early_webhook"}, {"fault": "lose_create_reply"})
    with pytest.raises(openai.APIConnectionError):
        ended(simulator, client)
    # It was told of although the caller never learned that there is a run.
    [run_id] = named(receiver.came)
    assert client.responses.retrieve(run_id).status == "completed"
    simulator.faults({"fault": "early_webhook"})
    answered = client.responses.create(model="m", input="x", background=True)
    assert (answered.status, named(receiver.came)[1:]) == ("queued", [answered.id])
    assert [line["fault"] for line in lines(simulator)] == ["early_webhook"] * 2


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ({"fault": "forge_webhook"}, InvalidWebhookSignatureError),
        ({"fault": "truncate_webhook"}, InvalidWebhookSignatureError),
        ({"fault": "truncate_webhook", "signed": True}, json.JSONDecodeError),
        ({"fault": "reserialize_webhook"}, InvalidWebhookSignatureError),
        ({"fault": "bom_webhook"}, InvalidWebhookSignatureError),
        ({"fault": "stale_webhook"}, InvalidWebhookSignatureError),
        ({"fault": "stale_webhook", "seconds": -600}, InvalidWebhookSignatureError),
        ({"fault": "missing_header"}, ValueError),
        ({"fault": "missing_header", "header": "webhook-id"}, ValueError),
        ({"fault": "missing_header", "header": "webhook-timestamp"}, ValueError),
    ],
)
def test_the_official_client_refuses_a_webhook_that_is_not_right(
    simulator: Running, client: OpenAI, receiver: Receiver, fault: dict[str, Any], raised: type[Exception]
) -> None:
    simulator.faults(fault | {"attempts": 1})
    receiver.answers.append(400)
    run_id = ended(simulator, client)
    with pytest.raises(raised):
        client.webhooks.unwrap(receiver.came[0].body, receiver.came[0].headers)
    # It was refused, so it is tried again: only the first attempt was wrong.
    [line] = lines(simulator)
    assert (line["fault"], line["statuses"], line["outcome"]) == (fault["fault"], [400], "retrying")
    simulator.advance(3600)
    assert named(receiver.came[1:]) == [run_id]


@pytest.mark.parametrize("name", ["two_signatures", "bare_signature"])
def test_the_official_client_accepts_an_odd_signature_that_is_right(
    simulator: Running, client: OpenAI, receiver: Receiver, name: str
) -> None:
    plain = ended(simulator, client)
    simulator.faults({"fault": name})
    odd = ended(simulator, client)
    events = [client.webhooks.unwrap(one.body, one.headers) for one in receiver.came]
    assert [event.data.id for event in events] == [plain, odd]
    shapes = [one.headers["webhook-signature"] for one in receiver.came]
    assert shapes[0].startswith("v1,") and len(shapes[0].split()) == 1
    assert len(shapes[1].split()) == (2 if name == "two_signatures" else 1)
    assert shapes[1].startswith("v1,") == (name == "two_signatures")


def test_a_webhook_can_name_a_response_nobody_knows(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    simulator.faults({"fault": "foreign_webhook"})
    run_id = ended(simulator, client)
    ids = [client.webhooks.unwrap(one.body, one.headers).data.id for one in receiver.came]
    [stranger] = set(ids) - {run_id}
    assert sorted(ids) == sorted([run_id, stranger])
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(stranger)


def test_faults_of_time_and_of_content_can_meet_one_webhook(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    simulator.faults(
        {"fault": "delay_webhook", "seconds": 60}, {"fault": "duplicate_webhook"}, {"fault": "bare_signature"}
    )
    run_id = ended(simulator, client)
    simulator.advance(61)
    assert named(receiver.came) == [run_id, run_id]
    assert not any(one.headers["webhook-signature"].startswith("v1,") for one in receiver.came)


@pytest.mark.parametrize("name", WEBHOOK_FAULTS)
def test_a_webhook_fault_is_in_the_truth_log_once(
    simulator: Running, client: OpenAI, receiver: Receiver, name: str
) -> None:
    simulator.faults({"fault": name})
    met = ended(simulator, client)
    ended(simulator, client)
    told = [line for line in lines(simulator) if line["fault"] == name]
    assert told and {line["fault"] for line in lines(simulator)} == {name, None}
    assert simulator.control("faults")["waiting"] == []
    assert met in {line["response_id"] for line in told} | {line["response_id"] for line in lines(simulator)}

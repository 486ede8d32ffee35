"""The webhook endpoints' API, by the official client and its types."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from openai.types.webhooks import (
    DeletedWebhookEndpoint,
    WebhookEndpoint,
    WebhookEndpointTestResult,
    WebhookEndpointWithSecret,
    WebhookEventTypeList,
)
from openai.types.webhooks.webhook_create_params import WebhookCreateParams

from backlane.simulator.server import Running, running_simulator
from tests.simulator.provider_strictness import checked
from tests.simulator.receiver import Receiver, receiving


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def simulator() -> Iterator[Running]:
    """On the real clock, for the official client judges the timestamps; runs end at once."""
    with running_simulator(seed=1, speed=1e9) as running:
        yield running


@pytest.fixture
def client(simulator: Running) -> Iterator[OpenAI]:
    with OpenAI(api_key="k", base_url=simulator.base_url, max_retries=0) as made:
        yield made


def made(client: OpenAI, url: str, **given: Any) -> WebhookEndpointWithSecret:
    wanted: Any = {"name": "backlane", "event_types": ["response.completed"], "url": url} | given
    return client.webhooks.create(**wanted)


def ended(simulator: Running, client: OpenAI) -> str:
    run_id = client.responses.create(model="m", input="The gate is green.", background=True).id
    simulator.advance(0.01)
    return run_id


def test_an_endpoint_made_by_api_is_told_of_what_it_asked_for(
    simulator: Running, client: OpenAI, receiver: Receiver
) -> None:
    ended(simulator, client)
    endpoint = made(client, receiver.url + "/a")
    other = made(client, receiver.url + "/b", event_types=["response.failed"])
    first = ended(simulator, client)
    simulator.script({"then": {"status": "failed"}})
    second = ended(simulator, client)
    told = [
        client.webhooks.unwrap(one.body, one.headers, secret=secret.signing_secret)
        for one, secret in zip(receiver.came, (endpoint, other), strict=True)
    ]
    assert [(event.type, event.data.id) for event in told] == [
        ("response.completed", first),
        ("response.failed", second),
    ]
    lines = [line for line in simulator.log() if line["call"] == "webhook"]
    assert [line["endpoint_id"] for line in lines] == [endpoint.id, other.id]


def test_the_secret_is_shown_when_it_is_made_and_never_again(simulator: Running, client: OpenAI) -> None:
    endpoint = made(client, "https://hooks.example.test/openai")
    assert endpoint.signing_secret.startswith("whsec_")
    raw = client.webhooks.with_raw_response.retrieve(endpoint.id).http_response.json()
    kept = checked(WebhookEndpoint, raw)
    assert kept.signing_secret_hint == "whsec_..." + endpoint.signing_secret[-4:]
    assert endpoint.signing_secret not in str(raw) + str(simulator.log())
    assert (kept.name, kept.url, kept.event_types) == (
        "backlane",
        "https://hooks.example.test/openai",
        ["response.completed"],
    )


def test_endpoints_are_listed_newest_first_in_pages(client: OpenAI) -> None:
    ids = [made(client, "https://a.example.test/", name=f"n{number}").id for number in range(5)]
    assert [one.id for one in client.webhooks.list(limit=2)] == ids[::-1]
    with pytest.raises(openai.BadRequestError):
        client.webhooks.list(limit=0)
    with pytest.raises(openai.BadRequestError):
        client.webhooks.list(after="we_none")


def test_an_endpoint_is_changed_and_deleted(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    endpoint = made(client, "https://a.example.test/")
    changed = client.webhooks.update(endpoint.id, name="n2", url=receiver.url, event_types=["batch.failed"])
    assert (changed.name, changed.url, changed.event_types) == ("n2", receiver.url, ["batch.failed"])
    raw = client.webhooks.with_raw_response.delete(endpoint.id).http_response.json()
    assert checked(DeletedWebhookEndpoint, raw).deleted
    ended(simulator, client)
    assert receiver.came == []
    for call in (client.webhooks.retrieve, client.webhooks.delete, client.webhooks.rotate_secret):
        with pytest.raises(openai.NotFoundError):
            call(endpoint.id)


@pytest.mark.parametrize("keeps", [True, False])
def test_a_secret_is_rotated_with_or_without_a_day_of_both(
    simulator: Running, client: OpenAI, receiver: Receiver, keeps: bool
) -> None:
    endpoint = made(client, receiver.url)
    fresh = client.webhooks.rotate_secret(endpoint.id, keep_old_secret_active_for_24_hours=keeps)
    assert fresh.signing_secret != endpoint.signing_secret
    ended(simulator, client)
    came = receiver.came[0]
    client.webhooks.unwrap(came.body, came.headers, secret=fresh.signing_secret)
    assert len(came.headers["webhook-signature"].split()) == (2 if keeps else 1)
    if keeps:
        client.webhooks.unwrap(came.body, came.headers, secret=endpoint.signing_secret)
    else:
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(came.body, came.headers, secret=endpoint.signing_secret)
    simulator.advance(24 * 3600)
    ended(simulator, client)
    assert len(receiver.came[-1].headers["webhook-signature"].split()) == 1


def test_an_endpoint_is_tried_once(simulator: Running, client: OpenAI, receiver: Receiver) -> None:
    endpoint = made(client, receiver.url)
    receiver.answers += [204, 500]
    for status in (204, 500):
        raw = client.webhooks.with_raw_response.test(endpoint.id, event_type="batch.completed")
        tried = checked(WebhookEndpointTestResult, raw.http_response.json())
        assert (tried.status_code, tried.event_type) == (status, "batch.completed")
    event = client.webhooks.unwrap(
        receiver.came[0].body, receiver.came[0].headers, secret=endpoint.signing_secret
    )
    assert event.type == "batch.completed"
    simulator.advance(3600)
    assert len(receiver.came) == 2
    away = made(client, "http://127.0.0.1:9/")
    with pytest.raises(openai.BadRequestError, match="did not answer"):
        client.webhooks.test(away.id, event_type="batch.completed")


def test_the_event_types_are_those_of_the_official_client(client: OpenAI) -> None:
    raw = client.webhooks.event_types.with_raw_response.list().http_response.json()
    listed = checked(WebhookEventTypeList, raw).data
    assert f"Literal[{', '.join(map(repr, listed))}]" in str(WebhookCreateParams.__annotations__).replace(
        '"', "'"
    )


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"name": ""}, "name"),
        ({"url": 7}, "url"),
        ({"url": "http://elsewhere.example.test/"}, "url"),
        ({"event_types": ["response.done"]}, "event_types[0]"),
        ({"event_types": "all"}, "event_types"),
    ],
)
def test_a_wrong_endpoint_is_refused_by_name(client: OpenAI, given: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        made(client, **({"url": "https://a.example.test/"} | given))
    assert refused.value.param == param
    with pytest.raises(openai.AuthenticationError):
        made(client.with_options(api_key="sk-bad"), "https://a.example.test/")

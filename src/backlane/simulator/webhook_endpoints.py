"""The account's webhook endpoints by API: made, read, changed, tried. A secret is shown only when it is made."""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from backlane.simulator.calls import serve_object
from backlane.simulator.deliveries import Endpoint
from backlane.simulator.http_delivery import is_near
from backlane.simulator.protocol import Refusal, missing, wrong
from backlane.simulator.runs import mark
from backlane.simulator.values import as_list, as_object
from backlane.simulator.world import World

_KINDS = {
    "batch": "completed failed expired cancelled",
    "response": "completed failed cancelled incomplete",
    "eval.run": "succeeded failed canceled",
    "fine_tuning.job": "succeeded failed cancelled",
    "realtime.call": "incoming",
    "video": "completed failed",
    "agent.environment": "ready failed suspended expired",
    "agent.session": "created action_required in_progress idle failed",
    "safety.alert": "created",
}
EVENT_TYPES = tuple(f"{kind}.{ending}" for kind, endings in _KINDS.items() for ending in endings.split())
_DAY = 24 * 3600.0
_Act = Callable[[World, Request, dict[str, Any]], Any]


def add_endpoint_routes(app: FastAPI, world: World) -> None:
    """The routes of the endpoints' API."""

    def served(act: _Act) -> Any:
        async def route(request: Request) -> Response:
            given = await request.body()
            return await serve_object(
                world, request, "webhook_endpoints", lambda _, __: act(world, request, _read(given))
            )

        return route

    one = "/v1/webhook_endpoints/{endpoint_id}"
    app.add_route("/v1/webhook_event_types", served(_event_types), methods=["GET"])
    app.add_route("/v1/webhook_endpoints", served(_create), methods=["POST"])
    app.add_route("/v1/webhook_endpoints", served(_list), methods=["GET"])
    app.add_route(one, served(lambda world, request, _: _shown(_found(world, request))), methods=["GET"])
    app.add_route(one, served(_update), methods=["POST"])
    app.add_route(one, served(_delete), methods=["DELETE"])
    app.add_route(f"{one}/rotate_secret", served(_rotate), methods=["POST"])
    app.add_route(f"{one}/test", served(_test), methods=["POST"])


def _read(given: bytes) -> dict[str, Any]:
    try:
        return as_object(json.loads(given or b"{}"))
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _event_types(_: World, __: Request, ___: Mapping[str, Any]) -> dict[str, Any]:
    return {"object": "list", "data": list(EVENT_TYPES)}


def _create(world: World, _: Request, body: dict[str, Any]) -> dict[str, Any]:
    for name in ("name", "url", "event_types"):
        if not body.get(name):
            raise missing(name)
    _check(body)
    number, now = world.webhooks.next_number(), world.now()
    made = Endpoint(
        mark(world.seed, number, "we"),
        body["name"],
        body["url"],
        _secret(world.seed, number),
        now,
        now,
        tuple(body["event_types"]),
    )
    world.webhooks.endpoints[made.id] = made
    return _shown(made) | {"signing_secret": made.secret}


def _list(world: World, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    """One page, newest first."""
    query = request.query_params
    limit = query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit) <= 100:
        raise wrong("limit", f"Invalid 'limit': expected a value from 1 to 100, but got {limit} instead.")
    rows = list(reversed(world.webhooks.endpoints.values()))
    if "after" in query:
        ids = [one.id for one in rows]
        if query["after"] not in ids:
            raise wrong("after", f"Webhook endpoint with id '{query['after']}' not found.")
        rows = rows[ids.index(query["after"]) + 1 :]
    page = rows[: int(limit)]
    return {
        "object": "list",
        "data": [_shown(one) for one in page],
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
        "has_more": len(rows) > len(page),
    }


def _update(world: World, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    endpoint, former = _found(world, request), _shown(_found(world, request))
    _check(body)
    endpoint.name = body.get("name", endpoint.name)
    endpoint.url = body.get("url", endpoint.url)
    if "event_types" in body:
        endpoint.event_types = tuple(body["event_types"])
    if _shown(endpoint) != former:
        endpoint.updated_at = world.now()
    return _shown(endpoint)


def _delete(world: World, request: Request, _: Mapping[str, Any]) -> dict[str, Any]:
    endpoint = _found(world, request)
    del world.webhooks.endpoints[endpoint.id]
    return {"id": endpoint.id, "object": "webhook_endpoint.deleted", "deleted": True}


def _rotate(world: World, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    """A new secret; the former one signs beside it for a day where that was asked for."""
    endpoint, now = _found(world, request), world.now()
    keeps = body.get("keep_old_secret_active_for_24_hours") is True
    endpoint.former_secret = endpoint.secret if keeps else None
    endpoint.former_until = now + _DAY
    endpoint.secret = _secret(world.seed, world.webhooks.next_number())
    endpoint.updated_at = now
    return _shown(endpoint) | {"signing_secret": endpoint.secret}


async def _test(world: World, request: Request, body: dict[str, Any]) -> dict[str, Any]:
    endpoint, kind = _found(world, request), body.get("event_type")
    if kind is None:
        raise missing("event_type")
    if kind not in EVENT_TYPES:
        raise wrong("event_type", f"Invalid value: '{kind}'.")
    status = await world.webhooks.send_sample(endpoint, str(kind))
    if status is None:
        raise Refusal(400, "The webhook endpoint did not answer.", code="webhook_endpoint_unreachable")
    return {
        "object": "webhook_endpoint.test",
        "webhook_endpoint_id": endpoint.id,
        "event_type": kind,
        "status_code": status,
        "success": True,
    }


def _found(world: World, request: Request) -> Endpoint:
    endpoint_id = str(request.path_params["endpoint_id"])
    if endpoint_id not in world.webhooks.endpoints:
        raise Refusal(404, f"Webhook endpoint with id '{endpoint_id}' not found.")
    return world.webhooks.endpoints[endpoint_id]


def _check(body: dict[str, Any]) -> None:
    for name in ("name", "url"):
        if name in body and not isinstance(body[name], str):
            raise wrong(name, f"Invalid type for '{name}': expected a string.", "invalid_type")
    url = str(body.get("url", "https://"))
    if not url.startswith("https://") and not (url.startswith("http://") and is_near(url)):
        raise wrong("url", "Invalid 'url': expected an HTTPS URL.")
    if "event_types" in body and not as_list(body["event_types"]):
        raise wrong("event_types", "Invalid type for 'event_types': expected an array.", "invalid_type")
    for index, kind in enumerate(as_list(body.get("event_types"))):
        if kind not in EVENT_TYPES:
            raise wrong(f"event_types[{index}]", f"Invalid value: '{kind}'.")


def _secret(seed: int, number: int) -> str:
    key = hashlib.sha256(f"{seed}:whsec:{number}".encode()).digest()
    return f"whsec_{base64.b64encode(key).decode()}"


def _shown(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "created_at": int(endpoint.created_at),
        "updated_at": int(endpoint.updated_at),
        "name": endpoint.name,
        "url": endpoint.url,
        "event_types": list(EVENT_TYPES if endpoint.event_types is None else endpoint.event_types),
        "signing_secret_hint": f"whsec_...{endpoint.secret[-4:]}",
    }

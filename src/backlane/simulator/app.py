"""The simulator's web app: the provider's routes under /v1, the control surface under /_sim, kept apart."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from backlane.simulator.control import install_control
from backlane.simulator.faults import Fault
from backlane.simulator.protocol import Refusal
from backlane.simulator.world import Switches, World

# Faults that meet a create before anything is accepted, and those that spoil a reply.
_BEFORE = {"rate_limit", "quota", "server_error", "overloaded", "slow_down", "status"}
_REPLY = {"cut_reply", "garble_reply", "html_reply"}


def create_simulator(*, seed: int = 0, clock: str = "real", switches: Switches | None = None) -> FastAPI:
    """A simulated provider. `clock` is real or virtual; the same seed and requests give the same bytes."""
    world = World(seed, clock, switches or Switches())
    app = FastAPI(title="Backlane provider simulator", docs_url=None, redoc_url=None)
    app.state.world = world
    _provider_routes(app, world)
    install_control(app, world)
    return app


def _reply(world: World, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    number = len(world.log)
    told = {
        "x-request-id": f"req_{world.seed}_{number}",
        "openai-processing-ms": "12",
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-remaining-requests": "9999",
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-tokens": "1999000",
        "x-ratelimit-reset-tokens": "30ms",
    }
    return JSONResponse(body, status, {**told, **(headers or {})})


def _authorize(request: Request) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise Refusal(401, "You didn't provide an API key.", code=None)
    if key.startswith("sk-bad"):
        raise Refusal(401, f"Incorrect API key provided: {key[:10]}***.", code="invalid_api_key")


def _drop(request: Request) -> Response:
    """Close the connection without a (further) word."""
    transport = request.scope.get("backlane.transport")
    if transport is not None:
        transport.abort()
    return Response(status_code=500)


def _weather_refusal(fault: Fault) -> Refusal | None:
    values, name = fault.values, fault.name
    if name == "rate_limit":
        headers = {
            key.replace("_", "-"): str(values[key])
            for key in ("retry_after", "retry_after_ms")
            if key in values
        }
        return Refusal(
            429, "Rate limit reached.", code="rate_limit_exceeded", kind="requests", headers=headers
        )
    if name == "quota":
        code = str(values.get("code", "insufficient_quota"))
        return Refusal(429, "You exceeded your current quota.", code=code, kind="insufficient_quota")
    if name == "server_error":
        return Refusal(500, "The server had an error while processing your request.", kind="server_error")
    if name == "overloaded":
        message = "The engine is currently overloaded, please try again later"
        return Refusal(503, message, code="server_is_overloaded", kind="service_unavailable_error")
    if name == "slow_down":
        return Refusal(503, "Slow down.", code="slow_down", kind="rate_limit_error")
    return None


def _spoiled(request: Request, fault: Fault, response: Response) -> Response:
    if fault.name == "garble_reply":
        return Response(bytes(response.body)[:-20] + b"\xff!", 200, media_type="application/json")
    if fault.name == "html_reply":
        return Response(
            "<html><body>Bad gateway</body></html>", fault.values.get("status", 200), media_type="text/html"
        )
    request.scope["backlane.cut"] = len(response.body) // 2
    return response


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise Refusal(400, "We could not parse the JSON body of your request.") from None


def _provider_routes(app: FastAPI, world: World) -> None:
    async def create(request: Request) -> Response:
        return await _serve_create(world, request)

    async def on_run(request: Request) -> Response:
        run_id = request.path_params["run_id"]
        call = {"POST": "cancel", "GET": "retrieve", "DELETE": "delete"}[request.method]
        return await _serve_run(world, request, call, run_id)

    async def items(request: Request) -> Response:
        return await _serve_items(world, request)

    app.add_route("/v1/responses", create, methods=["POST"])
    app.add_route("/v1/responses/{run_id}", on_run, methods=["GET", "DELETE"])
    app.add_route("/v1/responses/{run_id}/cancel", on_run, methods=["POST"])
    app.add_route("/v1/responses/{run_id}/input_items", items, methods=["GET"])


async def _serve_create(world: World, request: Request) -> Response:
    """One create: weather first, then the run, then the fate of its reply."""
    line = world.note(
        "create", response_id=None, metadata={}, model=None, outcome="refused", fault=None, status_code=0
    )
    try:
        _authorize(request)
        given = await _body(request)
        body = cast(dict[str, Any], given) if isinstance(given, dict) else {}
        line |= {"metadata": body.get("metadata") or {}, "model": body.get("model")}
        slow = world.weather.take({"slow"}, "create", body)
        if slow and slow.values.get("when") != "after":
            await asyncio.sleep(float(slow.values.get("seconds", 1)))
        fault = world.weather.take(_BEFORE | _REPLY | {"lose_create_reply", "poll_after_ms"}, "create", body)
        if fault is not None:
            line["fault"] = fault.name
            if fault.name in _BEFORE and not fault.values.get("accept"):
                return _refuse_by(world, line, fault)
        run = world.create(given)
        line |= {"response_id": run.id, "outcome": "accepted"}
        if slow and slow.values.get("when") == "after":
            await asyncio.sleep(float(slow.values.get("seconds", 1)))
    except Refusal as refusal:
        line["status_code"] = refusal.status
        return _reply(world, refusal.body, refusal.status, refusal.headers)
    line["status_code"] = 200
    response = _reply(world, world.show(run), headers=_hint(fault))
    if fault is None or fault.name == "poll_after_ms":
        return response
    if fault.name in _BEFORE:
        return _refuse_by(world, line, fault)
    if fault.name == "lose_create_reply":
        line["status_code"] = None
        return _drop(request)
    return _spoiled(request, fault, response)


def _hint(fault: Fault | None) -> dict[str, str]:
    if fault is not None and fault.name == "poll_after_ms":
        return {"openai-poll-after-ms": str(fault.values.get("ms", 1000))}
    return {}


def _refuse_by(world: World, line: dict[str, Any], fault: Fault) -> Response:
    refusal = _weather_refusal(fault)
    if refusal is None:
        line["status_code"] = fault.values.get("status", 400)
        body = fault.values.get(
            "body", {"error": {"message": "No.", "type": "error", "param": None, "code": None}}
        )
        return _reply(world, body, line["status_code"], fault.values.get("headers"))
    line["status_code"] = refusal.status
    return _reply(world, refusal.body, refusal.status, refusal.headers)


async def _serve_run(world: World, request: Request, call: str, run_id: str) -> Response:
    """One retrieve, cancel or delete, and what the weather makes of it."""
    line = world.note(call, response_id=run_id, outcome="answered", fault=None, status_code=200)
    names = (
        _BEFORE
        | _REPLY
        | {"lose_reply", "slow", "gone", "unknown_status", "backwards_status", "poll_after_ms"}
    )
    if call == "cancel":
        names |= {"cancel_404", "cancel_409", "cancel_lost"}
    try:
        _authorize(request)
        fault = world.weather.take(names, call, {}) if call != "delete" else None
        line["fault"] = fault.name if fault else None
        if fault and fault.name in _BEFORE and fault.call == call:
            return _refuse_by(world, line, fault)
        if fault and fault.name == "slow" and fault.call == call:
            await asyncio.sleep(float(fault.values.get("seconds", 1)))
        if fault and fault.name in ("gone", "cancel_404"):
            raise Refusal(404, f"Response with id '{run_id}' not found.")
        if fault and fault.name == "cancel_409":
            raise Refusal(409, "The resource is being modified by another request.", code="conflict")
        if fault and fault.name == "cancel_lost":
            return _drop(request)
        run = world.run(run_id)
        acts: dict[str, Callable[[], dict[str, Any]]] = {
            "retrieve": lambda: world.show(run, fault),
            "cancel": lambda: world.cancel(run),
            "delete": lambda: world.delete(run),
        }
        response = _reply(world, acts[call](), headers=_hint(fault))
    except Refusal as refusal:
        line |= {"status_code": refusal.status, "outcome": "refused"}
        return _reply(world, refusal.body, refusal.status, refusal.headers)
    if fault and fault.name == "lose_reply":
        line["status_code"] = None
        return _drop(request)
    return _spoiled(request, fault, response) if fault and fault.name in _REPLY else response


async def _serve_items(world: World, request: Request) -> Response:
    try:
        _authorize(request)
        run = world.run(request.path_params["run_id"])
    except Refusal as refusal:
        return _reply(world, refusal.body, refusal.status)
    given: Any = run.body["input"]
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    rows: list[Any] = [
        {"id": f"msg_in_{run.id[5:25]}{number}", "type": "message", "status": "completed", **one}
        for number, one in enumerate(given)
    ]
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return _reply(
        world, {"object": "list", "data": rows, "first_id": first, "last_id": last, "has_more": False}
    )

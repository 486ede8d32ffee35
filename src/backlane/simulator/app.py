"""The simulator's web app: the provider's routes under /v1, the control surface under /_sim, kept apart."""

from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import Response

from backlane.simulator.calls import serve_create, serve_follow, serve_run
from backlane.simulator.control import add_control_routes
from backlane.simulator.faults import Fault
from backlane.simulator.file_calls import add_file_routes
from backlane.simulator.hosted import shown_items
from backlane.simulator.input_items import page_of
from backlane.simulator.protocol import wrong
from backlane.simulator.signatures import signature
from backlane.simulator.switches import Switches, changed
from backlane.simulator.webhook_endpoints import add_endpoint_routes
from backlane.simulator.world import World

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_simulator(
    *,
    seed: int = 0,
    clock: Literal["real", "virtual"] = "real",
    switches: Switches | None = None,
    webhook_url: str | None = None,
    webhook_secret: str | None = None,
    **changes: Any,
) -> FastAPI:
    """A simulated provider. The same seed and the same requests give the same bytes.

    `changes` are single switches by name, such as `speed=10` or `zdr=True`. With `webhook_url` and
    `webhook_secret` the ends of background runs are told there, signed.
    """
    webhook = (webhook_url, _checked(webhook_secret)) if webhook_url else None
    world = World(seed, clock, changed(switches or Switches(), changes), webhook)
    app = FastAPI(title="Backlane provider simulator", docs_url=None, redoc_url=None)
    app.state.world = world
    _add_provider_routes(app, world)
    add_control_routes(app, world)
    return app


def _checked(secret: str | None) -> str:
    """A secret that can sign. Raises ValueError naming what is wrong."""
    if not secret:
        raise ValueError("a webhook URL needs a webhook secret, such as whsec_ and base64")
    signature(secret, "", "", b"")
    return secret


def _add_provider_routes(app: FastAPI, world: World) -> None:
    async def create(request: Request) -> Response:
        return await serve_create(world, request)

    async def retrieve(request: Request) -> Response:
        if request.query_params.get("stream") == "true":
            return await serve_follow(world, request)

        def act(run_id: str, fault: Fault | None) -> Any:
            run = world.run(run_id)
            shown, include = world.show(run, fault), request.query_params.getlist("include[]")
            return shown | {"output": shown_items(shown["output"], run.hidden, include)}

        return await serve_run(world, request, "retrieve", act)

    async def cancel(request: Request) -> Response:
        return await serve_run(world, request, "cancel", lambda run_id, _: world.cancel(run_id))

    async def delete(request: Request) -> Response:
        return await serve_run(world, request, "delete", lambda run_id, _: world.delete(world.run(run_id)))

    async def input_items(request: Request) -> Response:
        def act(run_id: str, _: Fault | None) -> Any:
            return page_of(world.run(run_id), request.query_params)

        return await serve_run(world, request, "input_items", act)

    async def nothing(request: Request) -> Response:
        return await serve_run(world, request, "unknown", _nothing_here(request))

    app.add_route("/v1/responses", create, methods=["POST"])
    app.add_route("/v1/responses/{run_id}", retrieve, methods=["GET"])
    app.add_route("/v1/responses/{run_id}", delete, methods=["DELETE"])
    app.add_route("/v1/responses/{run_id}/cancel", cancel, methods=["POST"])
    app.add_route("/v1/responses/{run_id}/input_items", input_items, methods=["GET"])
    add_file_routes(app, world)
    add_endpoint_routes(app, world)
    app.add_route("/v1/{run_id:path}", nothing, methods=_METHODS)


def _nothing_here(request: Request) -> Any:
    def act(_: str, __: Fault | None) -> Any:
        refusal = wrong("", f"Invalid URL ({request.method} {request.url.path})")
        refusal.status = 404
        refusal.body["error"] |= {"param": None, "code": None}
        raise refusal

    return act

"""The simulator's control surface under /_sim: log, stats, clock, script, faults, reset. For this machine only."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from backlane.simulator.faults import FAULTS, read_fault
from backlane.simulator.world import World

_LOOPBACK = ("127.", "::1", "localhost", "testclient")
_KNOWN = "; ".join(f"`{name}`: {what}" for name, what in FAULTS.items())


def install_control(app: FastAPI, world: World) -> None:
    """Add the control routes; a caller from another machine gets 403."""

    async def only_here(request: Request, call_next: Any) -> Response:
        host = request.client.host if request.client else "testclient"
        if request.url.path.startswith("/_sim") and not host.startswith(_LOOPBACK):
            return JSONResponse({"detail": "the control surface is for this machine only"}, 403)
        return await call_next(request)

    app.middleware("http")(only_here)
    _install_reading(app, world)
    _install_steering(app, world)


def _install_reading(app: FastAPI, world: World) -> None:
    async def log() -> Any:
        """The truth log: every call in order."""
        return world.log

    async def stats() -> Any:
        """Counts by call, runs by status, attempts bought twice."""
        return world.stats()

    async def faults() -> Any:
        """The faults there are, and those in the air."""
        return {"known": FAULTS, "waiting": world.weather.waiting()}

    for name, endpoint in {"log": log, "stats": stats, "faults": faults}.items():
        app.add_api_route(f"/_sim/{name}", endpoint, methods=["GET"])


def _install_steering(app: FastAPI, world: World) -> None:
    async def clock(body: dict[str, float]) -> Any:
        """Move the clock on by `advance` seconds."""
        world.advance(float(body.get("advance", 0)))
        return {"now": world.now()}

    async def script(body: list[dict[str, Any]]) -> Any:
        """What the next matching responses do: `[{match, then, times?}]`."""
        if not all(isinstance(entry.get("then"), dict) for entry in body):
            return JSONResponse({"detail": "each entry needs `then`"}, 422)
        for entry in body:
            world.script(entry)
        return {"scripts": len(body)}

    async def faults(body: list[dict[str, Any]]) -> Any:
        try:
            read = [read_fault(entry) for entry in body]
        except ValueError as error:
            return JSONResponse({"detail": str(error)}, 422)
        for fault in read:
            world.weather.add(fault)
        return {"faults": len(read)}

    async def reset() -> Any:
        """Empty everything."""
        world.reset()
        return {"reset": True}

    app.add_api_route("/_sim/clock", clock, methods=["POST"])
    app.add_api_route("/_sim/script", script, methods=["POST"])
    app.add_api_route(
        "/_sim/faults", faults, methods=["POST"], description=f"Put faults in the air. Known: {_KNOWN}"
    )
    app.add_api_route("/_sim/reset", reset, methods=["POST"])

"""The control surface under /_sim: truth log, stats, clock, script, faults. It is for this machine only."""

import dataclasses
import ipaddress
from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI, HTTPException
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from backlane.simulator.faults import FAULTS, read_fault
from backlane.simulator.script import THEN, read_rule
from backlane.simulator.switches import changed
from backlane.simulator.world import World

_Given = TypeVar("_Given")
_Read = TypeVar("_Read")
_FAULT_LIST = "\n".join(
    f"- `{name}`: {kind.description}"
    + (
        f" ({'; '.join(f'`{key}`: {told}' for key, told in kind.parameters.items())})"
        if kind.parameters
        else ""
    )
    for name, kind in FAULTS.items()
)
_THEN_LIST = "\n".join(f"- `{key}`: {told}" for key, told in THEN.items())


def add_control_routes(app: FastAPI, world: World) -> None:
    """The routes a test or a demo steers the simulator with."""
    app.add_middleware(_OnlyThisMachine)
    _add_readings(app, world)
    _add_orders(app, world)


class _OnlyThisMachine:
    """Stands before the app without touching what passes: streams, and callers that leave."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith("/_sim") and not _is_near(scope):
            refusal = JSONResponse({"detail": "the control surface is for this machine only"}, 403)
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_near(scope: Scope) -> bool:
    """Loopback, or a caller inside this very process."""
    client = scope.get("client")
    host = client[0] if client else "testclient"
    if host in ("testclient", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _add_readings(app: FastAPI, world: World) -> None:
    async def log() -> list[dict[str, Any]]:
        """The truth log: every call in order, also those whose reply was lost."""
        return world.log

    async def stats() -> dict[str, Any]:
        """Counts by call, runs by status, attempts bought twice."""
        return world.stats()

    async def faults() -> dict[str, Any]:
        """The faults there are, and those in the air."""
        known = [
            {
                "fault": name,
                "description": kind.description,
                "calls": sorted(kind.calls),
                "parameters": kind.parameters,
            }
            for name, kind in FAULTS.items()
        ]
        return {"known": known, "waiting": world.weather.waiting()}

    async def profile() -> dict[str, Any]:
        """The switches as they stand."""
        return dataclasses.asdict(world.switches)

    app.get("/_sim/log")(log)
    app.get("/_sim/stats")(stats)
    app.get("/_sim/faults")(faults)
    app.get("/_sim/profile")(profile)


def _add_orders(app: FastAPI, world: World) -> None:
    async def clock(body: dict[str, float]) -> dict[str, float]:
        """Move the clock on by `advance` seconds."""
        seconds = body.get("advance")
        if seconds is None or seconds < 0:
            raise HTTPException(422, "give `advance`, seconds of at least 0")
        world.advance(seconds)
        return {"now": world.now()}

    async def script(body: list[dict[str, Any]]) -> dict[str, int]:
        for rule in _read_all(read_rule, body):
            world.scripts.add(rule)
        return {"scripts": len(world.scripts)}

    async def faults(body: list[dict[str, Any]]) -> dict[str, int]:
        for fault in _read_all(read_fault, body):
            world.weather.add(fault)
        return {"faults": len(body)}

    async def profile(body: dict[str, Any]) -> dict[str, Any]:
        """Change switches."""
        world.switches = _read_all(lambda given: changed(world.switches, given), [body])[0]
        return dataclasses.asdict(world.switches)

    async def reset() -> dict[str, bool]:
        """Empty everything; switches and a virtual clock go back to their start."""
        world.reset()
        return {"reset": True}

    app.post("/_sim/clock")(clock)
    told = "What the next matching responses do: `[{match, then, times?}]`. `then` may hold:\n" + _THEN_LIST
    app.post("/_sim/script", description=told)(script)
    told = (
        "Put faults in the air: `[{fault, times?, match?, call?, rate?, ...parameters}]`. Known:\n"
        + _FAULT_LIST
    )
    app.post("/_sim/faults", description=told)(faults)
    app.post("/_sim/profile")(profile)
    app.post("/_sim/reset")(reset)


def _read_all(read: Callable[[_Given], _Read], body: list[_Given]) -> list[_Read]:
    """All entries read before any takes effect."""
    try:
        return [read(entry) for entry in body]
    except (ValueError, TypeError) as error:
        raise HTTPException(422, str(error)) from None

"""The web application: routes, errors, health. Parses, calls a verb, prints."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import MutableHeaders

from backlane import __version__
from backlane.api import (
    actions,
    audit,
    budgets,
    cases,
    files,
    hooks,
    job_types,
    jobs,
    keys,
    lanes,
    marks,
    outputs,
    problems,
    reviews,
    verbs,
)
from backlane.api.context import Context, context, unguarded
from backlane.api.problems import problem
from backlane.api.unread import Unread

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def create_app(
    around: Context, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]] | None = None
) -> FastAPI:
    """The application over a built service. Raises RuntimeError if a route names no permission."""
    app = FastAPI(
        title="Backlane",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        description="Durable jobs around long-running AI work.",
    )
    app.state.context = around
    app.include_router(jobs.router)
    app.include_router(verbs.router)
    app.include_router(marks.router)
    app.include_router(cases.router)
    app.include_router(audit.router)
    app.include_router(outputs.router)
    app.include_router(lanes.router)
    app.include_router(budgets.router)
    app.include_router(hooks.router)
    app.include_router(files.router)
    app.include_router(reviews.router)
    app.include_router(actions.router)
    app.include_router(job_types.router)
    app.include_router(keys.router)
    problems.install(app)
    _install_health(app)
    app.add_middleware(EveryRequest, log=around.ports.log)
    loose = unguarded(app)
    if loose:
        raise RuntimeError(f"routes without a permission: {loose}")
    return app


class EveryRequest:
    """A request id on every answer; nothing a client sends ends in a bare 500."""

    def __init__(self, app: Any, *, log: Callable[[str], None]) -> None:
        self._app = app
        self._log = log

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, begun = f"req_{secrets.token_hex(12)}", False
        ways = Unread(scope, receive, send)

        async def marked(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers["Request-Id"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await ways.send(message)

        try:
            await self._app(scope, ways.receive, marked)
        except Exception as error:
            self._log(f"{request_id}: {type(error).__name__} in {scope['path']!r}")
            if begun:
                raise
            detail = "It was noted; try again in a moment."
            await problem(500, "internal", "Something broke here", detail)(scope, ways.receive, marked)


def _install_health(app: FastAPI) -> None:
    async def healthz() -> Response:
        """Whether this process answers."""
        return JSONResponse({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """Whether it can do its work now."""
        around = context(request)
        await around.ready()
        told: dict[str, Any] = {"status": "ready"}
        if around.signatures.is_open:
            told["webhooks"] = {"received": around.traffic.received, "refused": around.traffic.refused}
        return JSONResponse(told)

    app.add_api_route("/healthz", healthz, methods=["GET"], tags=["health"])
    app.add_api_route("/readyz", readyz, methods=["GET"], tags=["health"])

"""What every route is given: the service around it, and the caller behind the credential. Deny by default."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute

from backlane.api.channels import Followers
from backlane.service.access import PERMISSIONS, Caller, authenticate, require
from backlane.service.ports import Ports
from backlane.service.read import Estimates


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The service as the routes see it. `ready` raises what stands in the way of serving."""

    ports: Ports
    secret: bytes
    followers: Followers
    body_at_most: int
    ready: Callable[[], Awaitable[None]]
    estimates: Estimates


def context(request: Request) -> Context:
    """The context of this request's app."""
    return request.app.state.context


class Permit:
    """A dependency that names the permission its route needs, and answers with the caller."""

    def __init__(self, permission: str) -> None:
        if permission not in PERMISSIONS:
            raise ValueError(f"no such permission: {permission}")
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """The caller, if its role has the permission. Raises Unauthenticated or RoleRequired."""
        caller = await authenticate(context(request).ports, request.headers.get("authorization"))
        require(caller, self.permission)
        return caller


def unguarded(app: FastAPI) -> list[str]:
    """Routes under /v1 that name no permission; start-up fails if there is one (invariant I24)."""
    found: list[str] = []
    routes: list[Any] = list(app.routes)
    for route in routes:
        if isinstance(route, APIRoute) and route.path.startswith("/v1"):
            calls = [dependency.call for dependency in route.dependant.dependencies]
            if not any(isinstance(call, Permit) for call in calls):
                found.append(f"{sorted(route.methods or ())} {route.path}")
    return found

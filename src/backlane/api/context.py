"""What every route is given: the service around it, and the caller behind the credential. Deny by default."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute

from backlane.api.channels import Followers
from backlane.core.notice import Signatures, Traffic
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
    signatures: Signatures
    traffic: Traffic = field(default_factory=Traffic)


def context(request: Request) -> Context:
    """The context of this request's app."""
    return request.app.state.context


class Guard:
    """A dependency that lets a request in or refuses it. Every route under /v1 has one."""


class Permit(Guard):
    """A dependency that names the permission its route needs, and answers with the caller."""

    def __init__(self, permission: str) -> None:
        if permission not in PERMISSIONS:
            raise ValueError(f"no such permission: {permission}")
        self.permission = permission

    async def __call__(self, request: Request) -> Caller:
        """The caller, if its role has the permission. Raises Unauthenticated or RoleRequired."""
        caller = await authenticate(context(request).ports, request.headers.get("authorization"))
        require(caller, self.permission)
        reason = request.query_params.get("reason", "").strip()[:500]
        return replace(caller, reason=reason) if reason else caller


def unguarded(app: FastAPI) -> list[str]:
    """Routes under /v1 without a guard; start-up fails if there is one (invariant I24)."""
    found, guarded = list[str](), 0
    for path, route in _routes(app.routes, ""):
        if not path.startswith("/v1"):
            continue
        calls = [one.call for one in route.dependant.dependencies] if isinstance(route, APIRoute) else []
        if any(isinstance(call, Guard) for call in calls):
            guarded += 1
        else:
            found.append(f"{sorted(getattr(route, 'methods', None) or ())} {path}")
    # Seeing no route at all means that we do not see, not that all is well.
    return found if found or guarded else ["no route under /v1 was seen"]


def _routes(routes: Iterable[Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Every route with its whole path; an included router stands as one entry of its own."""
    for route in routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _routes(inner.routes, prefix + route.include_context.prefix)
        else:
            yield prefix + getattr(route, "path", ""), route

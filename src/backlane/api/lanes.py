"""The routes of lanes: how each is, and a person's hold on one."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, query, read_json, takes, validated
from backlane.service import lanes
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["lanes"])


class NoQuery(Body):
    """A route that takes no parameters."""


class LaneBody(Body):
    """What holding and releasing a lane takes; without `account` the workspace's own is meant."""

    account: Annotated[str, StringConstraints(min_length=1, max_length=64)] | None = None
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]


@router.get("/lanes")
async def get_lanes(request: Request, caller: Annotated[Caller, Depends(Permit("lanes.read"))]) -> Response:
    """The lanes of the provider accounts that your workspace uses: health, incidents, who waits."""
    query(request, NoQuery)
    found = await lanes.list_lanes(context(request).ports, caller)
    return JSONResponse({"data": found, "next_cursor": None})


@router.post("/lanes/{lane}/hold", openapi_extra=takes(LaneBody))
async def post_hold(
    request: Request, lane: str, caller: Annotated[Caller, Depends(Permit("lanes.control"))]
) -> Response:
    """Send nothing new on a lane until it is released; runs that are out are followed as ever."""
    around = context(request)
    body = validated(LaneBody, await read_json(request, around.body_at_most))
    await lanes.hold(around.ports, caller, lane, body.account, body.reason)
    return JSONResponse({"data": await lanes.list_lanes(around.ports, caller), "next_cursor": None})


@router.post("/lanes/{lane}/release", openapi_extra=takes(LaneBody))
async def post_release(
    request: Request, lane: str, caller: Annotated[Caller, Depends(Permit("lanes.control"))]
) -> Response:
    """Let a lane's waiting jobs go, a few at once."""
    around = context(request)
    body = validated(LaneBody, await read_json(request, around.body_at_most))
    await lanes.release(around.ports, caller, lane, body.account, body.reason)
    return JSONResponse({"data": await lanes.list_lanes(around.ports, caller), "next_cursor": None})

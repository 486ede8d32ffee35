"""The routes of actions: what was proposed and what became of it; taking back, resolving, stopping them all."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, read_json, takes, validated
from backlane.service import control_actions
from backlane.service.access import Caller
from backlane.service.control_actions import Switch
from backlane.service.describe import moment
from backlane.service.show_actions import read_action

router = APIRouter(prefix="/v1", tags=["actions"])


class ResolveActionBody(Body):
    """What POST /v1/actions/{id}/resolve takes."""

    outcome: Literal["happened", "did_not_happen"]
    notes: Annotated[str, StringConstraints(max_length=2000)] | None = None


class ReasonBody(Body):
    """What POST /v1/actions/{id}/undo, /v1/actions/stop and /v1/actions/allow take."""

    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


async def _reason(request: Request) -> str | None:
    raw = await read_json(request, context(request).body_at_most, optional=True)
    return validated(ReasonBody, raw).reason


def _switch(switch: Switch) -> Response:
    stopped = switch.stopped_at is not None
    return JSONResponse({"stopped": stopped, "stopped_at": moment(switch.stopped_at)})


@router.get("/actions/switch")
async def get_switch(
    request: Request, caller: Annotated[Caller, Depends(Permit("actions.read"))]
) -> Response:
    """Whether this workspace's actions are stopped."""
    return _switch(await control_actions.read_switch(context(request).ports, caller))


@router.post("/actions/stop", openapi_extra=takes(ReasonBody))
async def post_stop(request: Request, caller: Annotated[Caller, Depends(Permit("actions.stop"))]) -> Response:
    """The kill switch: nothing is carried out any more until an admin allows it."""
    reason = await _reason(request)
    return _switch(await control_actions.stop_actions(context(request).ports, caller, reason))


@router.post("/actions/allow", openapi_extra=takes(ReasonBody))
async def post_allow(
    request: Request, caller: Annotated[Caller, Depends(Permit("actions.allow"))]
) -> Response:
    """Let approved actions be carried out again."""
    reason = await _reason(request)
    return _switch(await control_actions.allow_actions(context(request).ports, caller, reason))


@router.get("/actions/{action_id}")
async def get_action(
    request: Request, action_id: str, caller: Annotated[Caller, Depends(Permit("actions.read"))]
) -> Response:
    """One action of the effect ledger."""
    return JSONResponse(await read_action(context(request).ports, caller, action_id))


@router.post("/actions/{action_id}/resolve", openapi_extra=takes(ResolveActionBody))
async def post_resolve_action(
    request: Request, action_id: str, caller: Annotated[Caller, Depends(Permit("actions.read"))]
) -> Response:
    """Say what became of an action that nobody knows of."""
    around = context(request)
    body = validated(ResolveActionBody, await read_json(request, around.body_at_most))
    await control_actions.resolve_action(around.ports, caller, action_id, body.outcome, body.notes)
    return JSONResponse(await read_action(around.ports, caller, action_id))


@router.post("/actions/{action_id}/undo", openapi_extra=takes(ReasonBody))
async def post_undo(
    request: Request, action_id: str, caller: Annotated[Caller, Depends(Permit("actions.read"))]
) -> Response:
    """Take an approved action back before it is carried out."""
    reason = await _reason(request)
    await control_actions.undo_action(context(request).ports, caller, action_id, reason)
    return JSONResponse(await read_action(context(request).ports, caller, action_id))

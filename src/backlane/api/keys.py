"""The routes of keys, tokens and of who one is. A secret is shown once, in the answer that made it."""

import secrets
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, read_json, takes, validated
from backlane.core.token import JOBS_AT_MOST, LASTS_AT_MOST
from backlane.errors import InvalidRequest
from backlane.service import keys
from backlane.service.access import PERMISSIONS, Caller
from backlane.service.describe import moment

router = APIRouter(prefix="/v1", tags=["keys"])
_NO_STORE = {"Cache-Control": "no-store"}
_User = Annotated[str, StringConstraints(min_length=1, max_length=90)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class KeyBody(Body):
    """What POST /v1/keys takes."""

    role: Literal["submitter", "reviewer", "support", "operator", "admin"]
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    service: bool = False
    may_decide: bool = False


class TokenBody(Body):
    """What POST /v1/tokens takes; `ttl` in seconds."""

    user: _User
    jobs: Annotated[list[_Id], Field(min_length=1, max_length=JOBS_AT_MOST)] | None = None
    ttl: int = Field(900, ge=1, le=LASTS_AT_MOST // 1000)


@router.get("/me")
async def get_me(request: Request, caller: Annotated[Caller, Depends(Permit("anyone"))]) -> Response:
    """Who the credential says one is, and what that role may ask for."""
    may = sorted(name for name, roles in PERMISSIONS.items() if caller.role in roles)
    who = {"workspace": caller.workspace, "workspace_name": caller.workspace_name, "name": caller.name}
    grant = caller.grant
    ends = None if grant is None else moment(grant.expires_at)
    kind = {"kind": caller.kind, "role": caller.role}
    # Of a service only; a person decides by their role.
    decides = caller.may_decide if caller.kind == "service" else None
    return JSONResponse(
        {"object": "me", **who, **kind, "may_decide": decides, "expires_at": ends, "may": may}
    )


@router.get("/workspaces")
async def get_workspaces(
    request: Request, caller: Annotated[Caller, Depends(Permit("keys.manage"))]
) -> Response:
    """The workspace that the credential belongs to: no other is within sight."""
    own = {"id": caller.workspace, "object": "workspace", "name": caller.workspace_name}
    return JSONResponse({"data": [own], "next_cursor": None})


@router.get("/keys")
async def get_keys(request: Request, caller: Annotated[Caller, Depends(Permit("keys.manage"))]) -> Response:
    """The workspace's keys, never their secrets."""
    return JSONResponse({"data": await keys.list_keys(context(request).ports, caller), "next_cursor": None})


@router.post("/keys", status_code=201, openapi_extra=takes(KeyBody))
async def post_key(request: Request, caller: Annotated[Caller, Depends(Permit("keys.manage"))]) -> Response:
    """Make a key; it can be read in this answer only."""
    around = context(request)
    body = validated(KeyBody, await read_json(request, around.body_at_most))
    made = await keys.add_key(
        around.ports,
        caller,
        secrets.token_bytes(23),
        role=body.role,
        name=body.name,
        service=body.service,
        may_decide=body.may_decide,
    )
    shown = {"id": made.id, "object": "key", "key": made.key, "name": made.name, "role": made.role}
    ends = moment(made.expires_at)
    return JSONResponse({**shown, "expires_at": ends}, 201, _NO_STORE)


@router.delete("/keys/{key_id}", status_code=204)
async def delete_key(
    request: Request, key_id: str, caller: Annotated[Caller, Depends(Permit("keys.manage"))]
) -> Response:
    """Take a key back: it and its tokens open nothing from now on."""
    await keys.take_key_back(context(request).ports, caller, key_id)
    return Response(status_code=204)


@router.post("/tokens", status_code=201, openapi_extra=takes(TokenBody))
async def post_token(request: Request, caller: Annotated[Caller, Depends(Permit("tokens.mint"))]) -> Response:
    """A token with which a service's end user follows their own jobs; at most an hour, signed, kept nowhere."""
    around = context(request)
    body = validated(TokenBody, await read_json(request, around.body_at_most))
    if not body.user.isprintable():
        raise InvalidRequest([("/user", "must be printable")])
    token, ends = await keys.mint_token(
        around.ports, caller, user=body.user, jobs=body.jobs, ttl=body.ttl * 1000
    )
    return JSONResponse({"object": "token", "token": token, "expires_at": ends}, 201, _NO_STORE)

"""The routes of cases: what a person looks after, for whom, and until when."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, Field, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.marks import Name, Note, Words
from backlane.api.reading import Body, milliseconds, query, read_json, takes, validated
from backlane.core.case import PROMISE_AT_MOST
from backlane.service import show_case
from backlane.service.access import Caller
from backlane.service.change_case import CaseChange, change_case
from backlane.service.open_case import open_case

router = APIRouter(prefix="/v1", tags=["cases"])
_Promise = Annotated[str, StringConstraints(min_length=1, max_length=PROMISE_AT_MOST)]


class CaseBody(Body):
    """What POST /v1/cases takes."""

    job: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    reason: Words
    notes: Note | None = None


class CaseChangeBody(Body):
    """What PATCH /v1/cases/{id} takes; a field that is left out stays, null empties it."""

    owner: Name | None = None
    promise: _Promise | None = None
    promise_by: AwareDatetime | None = None
    state: Literal["open", "closed"] | None = None
    notes: Note | None = None
    for_requester: bool = False


class CaseQuery(Body):
    """The filters of GET /v1/cases."""

    state: Literal["open", "closed"] | None = None
    owner: str | None = None
    job: str | None = None
    cause: str | None = None
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


@router.get("/cases")
async def get_cases(request: Request, caller: Annotated[Caller, Depends(Permit("cases.read"))]) -> Response:
    """The cases within your sight, the newest first."""
    around, asked = context(request), query(request, CaseQuery)
    filters = asked.model_dump(include={"state", "owner", "job", "cause"}, exclude_none=True)
    page = await show_case.list_cases(
        around.ports, caller, filters, asked.cursor, asked.limit, secret=around.secret
    )
    return JSONResponse(page)


@router.post("/cases", status_code=201, openapi_extra=takes(CaseBody))
async def post_case(request: Request, caller: Annotated[Caller, Depends(Permit("cases.read"))]) -> Response:
    """Open a case for a job; the one that is open already answers with 200."""
    around = context(request)
    body = validated(CaseBody, await read_json(request, around.body_at_most))
    case, new = await open_case(around.ports, caller, body.job, body.reason, body.notes)
    view = await show_case.read_case(around.ports, caller, case["id"])
    return JSONResponse(view, 201 if new else 200, {"Location": f"/v1/cases/{case['id']}"})


@router.get("/cases/{case_id}")
async def get_case(
    request: Request, case_id: str, caller: Annotated[Caller, Depends(Permit("cases.read"))]
) -> Response:
    """One case, with its notes."""
    return JSONResponse(await show_case.read_case(context(request).ports, caller, case_id))


@router.patch("/cases/{case_id}", openapi_extra=takes(CaseChangeBody))
async def patch_case(
    request: Request, case_id: str, caller: Annotated[Caller, Depends(Permit("cases.change"))]
) -> Response:
    """Say who looks after it, what was promised, what was noted, and whether it is over."""
    around = context(request)
    body = validated(CaseChangeBody, await read_json(request, around.body_at_most))
    change = CaseChange(
        given=frozenset(body.model_fields_set),
        owner=body.owner,
        promise=body.promise,
        promise_by=milliseconds(body.promise_by),
        state=body.state,
        note=body.notes,
        for_requester=body.for_requester,
    )
    await change_case(around.ports, caller, case_id, change)
    return JSONResponse(await show_case.read_case(around.ports, caller, case_id))

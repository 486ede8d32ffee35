"""The routes of job types: what can be submitted, and what controls it."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from backlane.api.context import Permit, context
from backlane.service import show_types
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["job types"])


@router.get("/job-types")
async def get_types(request: Request, caller: Annotated[Caller, Depends(Permit("anyone"))]) -> Response:
    """Every job type that is loaded."""
    return JSONResponse({"data": show_types.list_types(context(request).ports), "next_cursor": None})


@router.get("/job-types/{name}")
async def get_type(
    request: Request, name: str, caller: Annotated[Caller, Depends(Permit("anyone"))]
) -> Response:
    """One job type: what it takes and gives, what it may do, its policies by version, how much of it is reviewed."""
    return JSONResponse(show_types.read_type(context(request).ports, name))

"""The route of the audit log, for admins."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, query
from backlane.service.access import Caller
from backlane.service.show_audit import list_audit

router = APIRouter(prefix="/v1", tags=["audit"])


class AuditQuery(Body):
    """The filters of GET /v1/audit."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    export: bool = False
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


@router.get("/audit")
async def get_audit(request: Request, caller: Annotated[Caller, Depends(Permit("audit.read"))]) -> Response:
    """Who did or read what, oldest first; reading it is a line of it."""
    around, asked = context(request), query(request, AuditQuery)
    filters = asked.model_dump(include={"actor", "action", "subject"}, exclude_none=True)
    page = await list_audit(
        around.ports,
        caller,
        filters,
        asked.cursor,
        asked.limit,
        secret=around.secret,
        exported=asked.export,
    )
    return JSONResponse(page)

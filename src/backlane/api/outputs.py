"""The routes of artifacts and reviews. Content is served as a download, never as a page of ours."""

from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.jobs import ReasonQuery
from backlane.api.reading import Body, query
from backlane.errors import InvalidRequest
from backlane.service import show
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["outputs"])


class ReviewQuery(Body):
    """The filters of GET /v1/reviews."""

    state: str | None = None
    kind: str | None = None
    role: str | None = None
    job: str | None = None
    mine: Literal["false"] | None = None
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


@router.get("/jobs/{job_id}/artifacts")
async def get_artifacts(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("artifacts.read"))]
) -> Response:
    """The artifacts of a job."""
    rows = await show.list_artifacts(context(request).ports, caller, job_id)
    return JSONResponse({"data": rows, "next_cursor": None})


@router.get("/artifacts/{artifact_id}")
async def get_artifact(
    request: Request, artifact_id: str, caller: Annotated[Caller, Depends(Permit("artifacts.read"))]
) -> Response:
    """One artifact's metadata."""
    return JSONResponse(await show.read_artifact(context(request).ports, caller, artifact_id))


@router.get("/artifacts/{artifact_id}/content")
async def get_content(
    request: Request, artifact_id: str, caller: Annotated[Caller, Depends(Permit("artifacts.read"))]
) -> Response:
    """An artifact's bytes, whole or a range of them."""
    reason = query(request, ReasonQuery).reason
    found = await show.read_content(context(request).ports, caller, artifact_id, reason)
    tag = f'"{found.sha256}"'
    headers = {
        **found.headers,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    span = _range(request, len(found.content), tag)
    if span is None:
        return Response(found.content, headers=headers, media_type=found.media_type)
    first, last = span
    if first > last:
        headers["Content-Range"] = f"bytes */{len(found.content)}"
        return Response(status_code=416, headers=headers)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(found.content)}"
    return Response(found.content[first : last + 1], 206, headers, found.media_type)


def _range(request: Request, size: int, tag: str) -> tuple[int, int] | None:
    """The one range asked for (RFC 9110); None for the whole. A first after the last cannot be served."""
    asked = request.headers.get("range", "")
    if not asked.startswith("bytes=") or "," in asked or request.headers.get("if-range", tag) != tag:
        return None
    start, dash, end = asked.removeprefix("bytes=").strip().partition("-")
    if not dash or not (start or end) or not all(part.isdigit() or not part for part in (start, end)):
        return None
    if len(start) > 18 or len(end) > 18:
        return 1, 0
    if not start:
        return (max(0, size - int(end)), size - 1) if int(end) and size else (1, 0)
    last = min(int(end), size - 1) if end else size - 1
    return int(start), last


@router.get("/reviews")
async def get_reviews(
    request: Request, caller: Annotated[Caller, Depends(Permit("reviews.read"))]
) -> Response:
    """What waits for a decision, oldest first."""
    around, asked = context(request), query(request, ReviewQuery)
    if asked.mine is not None and asked.mine != "false":
        raise InvalidRequest([("?mine", "is not available in this version")])
    filters = asked.model_dump(include={"state", "kind", "role", "job"}, exclude_none=True)
    page = await show.list_reviews(
        around.ports, caller, filters, asked.cursor, asked.limit, secret=around.secret
    )
    return JSONResponse(page)

"""The routes of artifacts. Content is served as a download, never as a page of ours."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from backlane.api.context import Permit, context
from backlane.api.jobs import ReasonQuery
from backlane.api.reading import query
from backlane.service import show
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["outputs"])


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

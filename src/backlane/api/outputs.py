"""The routes of artifacts. Content is served as a download, never as a page of ours."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, BinaryIO
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from backlane.api.context import Permit, context
from backlane.api.jobs import ReasonQuery
from backlane.api.reading import query
from backlane.errors import StoreError
from backlane.service import show
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["outputs"])
# Read and sent at once, bytes.
_PIECE = 262_144


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
    """An artifact's bytes, whole or a range of them, read from the store as they are sent."""
    around = context(request)
    found = await show.find_content(around.ports, caller, artifact_id, query(request, ReasonQuery).reason)
    headers = _headers(found)
    if _known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    span = _range(request, found.size, headers["ETag"])
    first, last = (0, found.size - 1) if span is None else span
    if span is not None and first > last:
        headers["Content-Range"] = f"bytes */{found.size}"
        return Response(status_code=416, headers=headers)
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{found.size}"
    headers["Content-Length"] = str(last + 1 - first)
    file = await show.open_bytes(around.ports, found)
    status = 200 if span is None else 206
    return _Sent(file, first, last, status=status, headers=headers, media_type=found.media_type)


@router.head("/artifacts/{artifact_id}/content", include_in_schema=False)
async def head_content(
    request: Request, artifact_id: str, caller: Annotated[Caller, Depends(Permit("artifacts.read"))]
) -> Response:
    """What GET would say of an artifact's bytes, without them."""
    asked = query(request, ReasonQuery).reason
    found = await show.find_content(context(request).ports, caller, artifact_id, asked)
    headers = _headers(found)
    if _known(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(found.size)
    return Response(headers=headers, media_type=found.media_type)


def _headers(found: show.Found) -> dict[str, str]:
    return {
        **found.headers,
        "ETag": f'"{found.sha256}"',
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }


def _known(request: Request, tag: str) -> bool:
    """Whether the caller has these bytes already (RFC 9110: a weak comparison of a list of tags)."""
    given = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    return tag in given or "*" in given


class _Sent(StreamingResponse):
    """A file's bytes from `first` to `last`, some at a time; the file is closed whatever becomes of the caller."""

    def __init__(
        self,
        file: BinaryIO,
        first: int,
        last: int,
        *,
        status: int,
        headers: dict[str, str],
        media_type: str,
    ) -> None:
        self._file = file
        super().__init__(self._pieces(first, last), status, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()

    async def _pieces(self, first: int, last: int) -> AsyncGenerator[bytes]:
        self._file.seek(first)
        left = last + 1 - first
        while left > 0:
            piece = await asyncio.to_thread(self._file.read, min(_PIECE, left))
            if not piece:
                # Fewer bytes than were promised: the connection is broken off, which no reader takes for an end.
                raise StoreError("an artifact is shorter than its record; restore it from a backup")
            left -= len(piece)
            yield piece


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

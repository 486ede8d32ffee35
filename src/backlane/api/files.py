"""The route that takes files in: a raw body, or a form with one file; streamed, never whole in memory."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import StringConstraints
from starlette.requests import ClientDisconnect

from backlane.api.context import Permit, context
from backlane.api.form import OneFile, file_name
from backlane.api.reading import Body, query
from backlane.errors import Malformed
from backlane.service.access import Caller
from backlane.service.upload import Incoming, too_large, upload, upload_artifact
from backlane.service.view import artifact_view

router = APIRouter(prefix="/v1", tags=["files"])
# What a form may add around its file.
_FORM_AROUND = 65_536


class NameQuery(Body):
    """How the file is called, where no header says it."""

    name: Annotated[str, StringConstraints(max_length=1000)] | None = None


_BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {"schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}}
_TAKES: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": _BINARY, "multipart/form-data": _FORM},
    }
}


@router.post("/files", status_code=201, openapi_extra=_TAKES)
async def post_file(request: Request, caller: Annotated[Caller, Depends(Permit("files.upload"))]) -> Response:
    """Send in a file: the raw body, or a form with one file part. Its id is used as a `File` input."""
    ports = context(request).ports
    name = query(request, NameQuery).name
    kind = request.headers.get("content-type", "")
    is_form = kind.partition(";")[0].strip().lower() == "multipart/form-data"
    _refuse_early(request, ports.upload_at_most + (_FORM_AROUND if is_form else 0), ports.upload_at_most)
    if is_form:
        file = OneFile(_chunks(request), kind)
        await file.begin()
        incoming = Incoming(name or file.name, file.content_type, file.content())
    else:
        told = file_name(request.headers.get("content-disposition", ""))
        incoming = Incoming(name or told, kind, _chunks(request))
    row = await upload(ports, caller, incoming)
    view = artifact_view(upload_artifact(row), closed=False)
    return JSONResponse(view, 201, {"Location": f"/v1/artifacts/{row['id']}"})


def _refuse_early(request: Request, at_most: int, shown: int) -> None:
    """Raises TooLarge if the sender itself says that it is too much; what it says is not believed otherwise."""
    told = request.headers.get("content-length", "")
    if told.isdigit() and int(told[:18]) > at_most:
        raise too_large(shown)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Malformed where the sender left before its end."""
    try:
        async for chunk in request.stream():
            if chunk:
                yield chunk
    except ClientDisconnect:
        raise Malformed("The file ended before it was whole.") from None

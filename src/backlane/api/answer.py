"""The one way in which a Job leaves the API: what it shows of others' gated work is noted first."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from backlane.api.context import context
from backlane.service import read, show
from backlane.service.access import Caller


async def job_answer(
    request: Request,
    caller: Caller,
    view: Mapping[str, Any],
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """This Job, as it is shown to the caller; a verb's answer tells as much as a read does."""
    await show.note_jobs_read(context(request).ports, caller, [view])
    return JSONResponse(view, status, headers)


async def answer_with(
    request: Request,
    caller: Caller,
    job_id: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The job of this id as it is now. Raises NotFound."""
    view = await read.read_job(context(request).ports, caller, job_id)
    return await job_answer(request, caller, view, status, headers)

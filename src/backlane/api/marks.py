"""The routes that escalate, archive, hold and annotate jobs, and ask one verb of many: parse, call the verb, print."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AwareDatetime, StringConstraints

from backlane.api.answer import answer_with
from backlane.api.context import Permit, context
from backlane.api.reading import Body, milliseconds, read_json, takes, validated
from backlane.core.case import REASON_AT_MOST
from backlane.core.lifecycle import STATUSES
from backlane.core.review import NOTES_AT_MOST
from backlane.core.storage import Search
from backlane.errors import InvalidRequest
from backlane.service import annotate, bulk, mark
from backlane.service.access import Caller
from backlane.service.escalate import escalate
from backlane.service.mark_sensitive import mark_sensitive
from backlane.service.ports import Ports

router = APIRouter(prefix="/v1", tags=["control"])
Words = Annotated[str, StringConstraints(min_length=1, max_length=REASON_AT_MOST, strip_whitespace=True)]
Note = Annotated[str, StringConstraints(min_length=1, max_length=NOTES_AT_MOST, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
_Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class EscalateBody(Body):
    """What POST /v1/jobs/{id}/escalate takes."""

    reason: Words
    to: Name | None = None


class MarkBody(Body):
    """What archive, unarchive, hold and release take."""

    reason: Words | None = None


class NoteBody(Body):
    """What POST /v1/jobs/{id}/notes takes."""

    text: Note
    for_requester: bool = False


class BulkFilter(Body):
    """Which jobs a bulk request finds; the same words as the filters of GET /v1/jobs."""

    status: str | None = None
    type: str | None = None
    user: str | None = None
    account: str | None = None
    lane: str | None = None
    phase: str | None = None
    group: str | None = None
    archived: bool = False
    q: Annotated[str, StringConstraints(max_length=200)] | None = None
    created_after: AwareDatetime | None = None


class BulkBody(Body):
    """What POST /v1/jobs/bulk takes."""

    action: Literal["cancel", "retry", "resolve", "escalate", "archive", "unarchive", "hold", "release"]
    reason: Words
    ids: list[_Id] | None = None
    filter: BulkFilter | None = None
    choice: Literal["run_again", "give_up"] | None = None
    dry_run: bool = False


_Marked = Callable[[Ports, Caller, str, str | None], Awaitable[None]]


async def _mark(request: Request, job_id: str, caller: Caller, verb: _Marked) -> Response:
    around = context(request)
    body = validated(MarkBody, await read_json(request, around.body_at_most, optional=True))
    await verb(around.ports, caller, job_id, body.reason)
    return await answer_with(request, caller, job_id)


@router.post("/jobs/{job_id}/escalate", openapi_extra=takes(EscalateBody))
async def post_escalate(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Hand a review on, open a case for what failed or expired, or flag the job for operators."""
    around = context(request)
    body = validated(EscalateBody, await read_json(request, around.body_at_most))
    await escalate(around.ports, caller, job_id, body.reason, body.to)
    return await answer_with(request, caller, job_id)


@router.post("/jobs/{job_id}/archive", openapi_extra=takes(MarkBody))
async def post_archive(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Hide an ended job from default lists; nothing else changes."""
    return await _mark(request, job_id, caller, mark.archive)


@router.post("/jobs/{job_id}/unarchive", openapi_extra=takes(MarkBody))
async def post_unarchive(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Show an archived job in default lists again."""
    return await _mark(request, job_id, caller, mark.unarchive)


@router.post("/jobs/{job_id}/hold", openapi_extra=takes(MarkBody))
async def post_hold(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Put a legal hold on a job: retention waits."""
    return await _mark(request, job_id, caller, mark.hold)


@router.post("/jobs/{job_id}/release", openapi_extra=takes(MarkBody))
async def post_release(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Lift a legal hold."""
    return await _mark(request, job_id, caller, mark.unhold)


@router.post("/jobs/{job_id}/sensitive", openapi_extra=takes(MarkBody))
async def post_sensitive(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Say that an open job is sensitive: what it writes from then on is reviewed before it is released."""
    return await _mark(request, job_id, caller, mark_sensitive)


@router.get("/jobs/{job_id}/notes")
async def get_notes(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """What was noted about a job, as far as it is for the caller."""
    rows = await annotate.read_notes(context(request).ports, caller, job_id)
    return JSONResponse({"data": rows, "next_cursor": None})


@router.post("/jobs/{job_id}/notes", status_code=201, openapi_extra=takes(NoteBody))
async def post_note(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("notes.write"))]
) -> Response:
    """Note something about a job: for colleagues, unless marked for the requester."""
    around = context(request)
    body = validated(NoteBody, await read_json(request, around.body_at_most))
    note = await annotate.annotate(around.ports, caller, job_id, body.text, for_requester=body.for_requester)
    return JSONResponse(note, 201)


@router.post("/jobs/bulk", openapi_extra=takes(BulkBody))
async def post_bulk(request: Request, caller: Annotated[Caller, Depends(Permit("jobs.read"))]) -> Response:
    """One verb over the jobs that are named or found, at most 200: what became of each, or with `dry_run` would."""
    around = context(request)
    body = validated(BulkBody, await read_json(request, around.body_at_most))
    if (body.ids is None) == (body.filter is None):
        raise InvalidRequest([("/ids", "give ids or a filter, one of them")])
    if body.ids is not None and not 1 <= len(body.ids) <= bulk.AT_MOST:
        raise InvalidRequest([("/ids", f"must be 1 to {bulk.AT_MOST} ids")])
    asked = bulk.Bulk(action=body.action, reason=body.reason, choice=body.choice, dry_run=body.dry_run)
    search = None if body.filter is None else _search(body.filter)
    return JSONResponse(await bulk.in_bulk(around.ports, caller, asked, ids=body.ids, search=search))


def _search(asked: BulkFilter) -> Search:
    statuses = tuple(asked.status.split(",")) if asked.status else ()
    if any(one not in STATUSES for one in statuses):
        raise InvalidRequest([("/filter/status", f"must be among {', '.join(STATUSES)}")])
    given: dict[str, Any] = asked.model_dump(exclude={"status", "q", "created_after"})
    return Search(
        workspace="",
        statuses=statuses,
        text=asked.q,
        created_after=milliseconds(asked.created_after),
        oldest_first=True,
        **given,
    )

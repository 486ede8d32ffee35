"""The routes of jobs: submit, list, read, inputs, events, and the control verbs."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import AwareDatetime, Field, StringConstraints

from backlane.api.answer import job_answer
from backlane.api.context import Context, Permit, context
from backlane.api.follow import stream_events, wait_for_news
from backlane.api.reading import (
    Body,
    idempotency_key,
    milliseconds,
    prefer_wait,
    query,
    read_json,
    takes,
    validated,
)
from backlane.core.job import Status
from backlane.core.lifecycle import STATUSES, TERMINAL
from backlane.core.storage import Search
from backlane.errors import InvalidRequest
from backlane.service import read, show
from backlane.service.access import Caller, closed_for, gated, hidden_from, lacks_reason
from backlane.service.link import takes_files
from backlane.service.submit import FIRST_EVENTS, Submission, body_hash, submit

router = APIRouter(prefix="/v1", tags=["jobs"])
_Label = Annotated[str, StringConstraints(min_length=1, max_length=200)]
_Pair = Annotated[str, StringConstraints(max_length=512)]
_PairName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# So many events of a stream are looked at before it begins.
_PAGE = 200
_SETTLED = TERMINAL | {Status.NEEDS_REVIEW}


class SubmitBody(Body):
    """What POST /v1/jobs takes."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    inputs: dict[str, Any]
    user: _Label | None = None
    account: _Label | None = None
    lane: Literal["interactive", "background", "batch"] | None = None
    live: bool | None = None
    window: Literal["soonest", "2h", "8h"] | None = None
    useful_until: AwareDatetime | None = None
    deadline: AwareDatetime | None = None
    not_before: AwareDatetime | None = None
    priority: int = Field(0, ge=0, le=9)
    sensitive: bool = False
    max_cost: Annotated[str, StringConstraints(max_length=40)] | None = None
    group: _Label | None = None
    metadata: dict[_PairName, _Pair] = Field(default_factory=dict[str, str], max_length=16)


class ListQuery(Body):
    """The filters of GET /v1/jobs."""

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
    sort: Literal["-created_at", "created_at"] = "-created_at"
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


class EventQuery(Body):
    """Where a page of events begins, and why support reads what was written."""

    after: int = Field(0, ge=0, le=2**31 - 1)
    limit: int = Field(50, ge=1, le=200)
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class ReasonQuery(Body):
    """Why support reads a content."""

    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


async def _settled(around: Context, caller: Caller, job_id: str, seconds: float) -> dict[str, Any]:
    """The job, once it is terminal or needs a review, or after so many seconds."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    with around.followers.following(job_id) as woken:
        while True:
            job = await read.read_job(around.ports, caller, job_id)
            left = until - loop.time()
            if job["status"] in _SETTLED or left <= 0:
                return job
            await wait_for_news(woken, min(1.0, left))


def etag(job: dict[str, Any]) -> str:
    """A job's weak entity tag: it changes with every event."""
    return f'W/"{job["progress"]["seq"]}-{job["status"]}"'


@router.post("/jobs", status_code=202, openapi_extra=takes(SubmitBody))
async def post_job(request: Request, caller: Annotated[Caller, Depends(Permit("jobs.submit"))]) -> Response:
    """Submit a job. It is stored before the answer, and before any model is called."""
    around = context(request)
    raw = await read_json(request, around.body_at_most)
    body = validated(SubmitBody, raw)
    times: dict[str, Any] = {
        name: milliseconds(getattr(body, name)) for name in ("useful_until", "deadline", "not_before")
    }
    given: dict[str, Any] = body.model_dump(exclude={"useful_until", "deadline", "not_before"})
    # The inputs are kept as they came; only a job type's own model reads them.
    submission = Submission(**{**given, **times, "inputs": raw["inputs"]})
    key = idempotency_key(request)
    job, new = await submit(around.ports, caller, submission, key=key, body_hash=body_hash(raw))
    wait = prefer_wait(request)
    if new and wait <= 0 and not takes_files(around.ports, job):
        usual = await around.estimates.usual_for(job)
        view = read.fresh_view(around.ports, caller, job, FIRST_EVENTS, usual)
    else:
        view = await _settled(around, caller, job.id, wait)
    done = not new or (wait > 0 and view["status"] in _SETTLED)
    headers = {"Location": f"/v1/jobs/{job.id}", "ETag": etag(view)}
    if wait > 0:
        headers["Preference-Applied"] = f"wait={int(wait)}"
    return await job_answer(request, caller, view, 200 if done else 202, headers)


@router.get("/jobs")
async def list_jobs(request: Request, caller: Annotated[Caller, Depends(Permit("jobs.read"))]) -> Response:
    """The jobs within your sight, newest first."""
    around, asked = context(request), query(request, ListQuery)
    statuses = tuple(asked.status.split(",")) if asked.status else ()
    wrong = [one for one in statuses if one not in STATUSES]
    if wrong:
        raise InvalidRequest([("?status", f"must be among {', '.join(STATUSES)}")])
    search = Search(
        workspace=caller.workspace,
        statuses=statuses,
        type=asked.type,
        user=asked.user,
        account=asked.account,
        lane=asked.lane,
        phase=asked.phase,
        group=asked.group,
        archived=asked.archived,
        text=asked.q,
        created_after=milliseconds(asked.created_after),
        oldest_first=asked.sort == "created_at",
        limit=asked.limit,
    )
    page = await read.list_jobs(around.ports, caller, search, asked.cursor, around.secret)
    await show.note_jobs_read(around.ports, caller, page["data"], listed=True)
    return JSONResponse(page)


@router.get("/jobs/{job_id}")
async def get_job(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """One job."""
    view = await read.read_job(context(request).ports, caller, job_id)
    tag = etag(view)
    if request.headers.get("if-none-match") in (tag, "*"):
        return Response(status_code=304, headers={"ETag": tag})
    return await job_answer(request, caller, view, headers={"ETag": tag})


@router.get("/jobs/{job_id}/inputs")
async def get_inputs(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.inputs"))]
) -> Response:
    """What was submitted. Every read is audited; support gives a reason."""
    reason = query(request, ReasonQuery).reason
    return JSONResponse(await show.read_inputs(context(request).ports, caller, job_id, reason))


@router.get("/jobs/{job_id}/events")
async def get_events(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """A job's events: JSON pages, or an event stream that resumes after `Last-Event-ID`."""
    around, asked = context(request), query(request, EventQuery)
    if "text/event-stream" not in request.headers.get("accept", ""):
        page, _ = await show.read_events(around.ports, caller, job_id, asked.after, asked.limit)
        await show.note_events_read(around.ports, caller, job_id, page)
        following = page[-1]["seq"] if len(page) == asked.limit else None
        return JSONResponse({"data": page, "next_cursor": None if following is None else str(following)})
    job = await read.read_raw(around.ports, caller, job_id)
    last = request.headers.get("last-event-id", "")
    after = int(last) if last.isdigit() and len(last) < 10 else asked.after
    header = request.headers.get("authorization", "")
    page, _ = await show.read_events(around.ports, caller, job_id, after, _PAGE)
    # Of a longer stream than this page nobody knows yet what it will tell.
    goes_on = job.finished_at is None or len(page) == _PAGE
    noted = gated(job) or lacks_reason(caller, job.submitted_by)
    follows = goes_on and noted and not hidden_from(caller, job)
    await show.note_events_read(around.ports, caller, job_id, page, follows=follows)
    is_open = job.gate == "none" and not closed_for(caller, job)
    events = stream_events(
        around.ports, around.followers, caller, job_id, after, header=header, is_open=is_open
    )
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)

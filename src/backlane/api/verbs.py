"""The routes of the control verbs: parse, call the verb, print."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response
from pydantic import AwareDatetime, Field, StringConstraints

from backlane.api.answer import answer_with
from backlane.api.context import Permit, context
from backlane.api.reading import Body, idempotency_key, milliseconds, read_json, takes, validated
from backlane.core.lifecycle import TERMINAL
from backlane.core.verb import MESSAGE_AT_MOST
from backlane.service import control
from backlane.service.access import Caller
from backlane.service.message import message
from backlane.service.submit import body_hash

router = APIRouter(prefix="/v1", tags=["control"])


class CancelBody(Body):
    """What POST /v1/jobs/{id}/cancel takes."""

    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class RetryBody(Body):
    """What POST /v1/jobs/{id}/retry takes."""

    start: Literal["start", "partial"] = Field("start", alias="from")
    lane: Literal["interactive", "background", "batch"] | None = None
    inputs: dict[str, Any] | None = None
    useful_until: AwareDatetime | None = None


class ResolveBody(Body):
    """What POST /v1/jobs/{id}/resolve takes."""

    choice: Literal["run_again", "give_up", "attach"]
    provider_response_id: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    notes: Annotated[str, StringConstraints(max_length=2000)] | None = None


class MessageBody(Body):
    """What POST /v1/jobs/{id}/messages takes."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=MESSAGE_AT_MOST)]


@router.post("/jobs/{job_id}/cancel", openapi_extra=takes(CancelBody))
async def post_cancel(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Stop a job. Answers 200 when it is stopped, 202 while the provider confirms."""
    around = context(request)
    body = validated(CancelBody, await read_json(request, around.body_at_most, optional=True))
    job = await control.cancel(around.ports, caller, job_id, body.reason)
    return await answer_with(request, caller, job_id, 200 if job.status in TERMINAL else 202)


@router.post("/jobs/{job_id}/retry", status_code=202, openapi_extra=takes(RetryBody))
async def post_retry(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """A new job in place of one that ended; a second call answers with the same one."""
    around = context(request)
    raw = await read_json(request, around.body_at_most, optional=True)
    body = validated(RetryBody, raw)
    job, new = await control.retry(
        around.ports,
        caller,
        job_id,
        inputs=raw.get("inputs"),
        lane=body.lane,
        useful_until=milliseconds(body.useful_until),
        start=body.start,
    )
    headers = {"Location": f"/v1/jobs/{job.id}"}
    return await answer_with(request, caller, job.id, 202 if new else 200, headers)


@router.post("/jobs/{job_id}/resolve", openapi_extra=takes(ResolveBody))
async def post_resolve(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Settle a submission nobody could know the fate of: run again, give up, or attach the run that was found."""
    around = context(request)
    body = validated(ResolveBody, await read_json(request, around.body_at_most))
    await control.resolve(
        around.ports,
        caller,
        job_id,
        body.choice,
        provider_response_id=body.provider_response_id,
        notes=body.notes,
    )
    return await answer_with(request, caller, job_id)


@router.post("/jobs/{job_id}/messages", status_code=202, openapi_extra=takes(MessageBody))
async def post_message(
    request: Request, job_id: str, caller: Annotated[Caller, Depends(Permit("jobs.read"))]
) -> Response:
    """Say something to a job: a running interactive one goes on with it, one that has ended in a new job."""
    around = context(request)
    body = validated(MessageBody, await read_json(request, around.body_at_most))
    key, said = idempotency_key(request), body_hash({"message_to": job_id, "text": body.text})
    job, new = await message(around.ports, caller, job_id, body.text, key=key, body_hash=said)
    headers = {"Location": f"/v1/jobs/{job.id}"}
    return await answer_with(request, caller, job.id, 202 if new else 200, headers)

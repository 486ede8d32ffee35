"""The routes of reviews: what waits for a person, whose turn it is, and their decision."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, query, read_json, takes, validated
from backlane.core.review import NOTES_AT_MOST, Decision, ReasonCode
from backlane.service import show_review
from backlane.service.access import Caller
from backlane.service.claim import claim, release_claim
from backlane.service.decide import Decided, decide

router = APIRouter(prefix="/v1", tags=["reviews"])


class DecisionBody(Body):
    """What POST /v1/reviews/{id}/decisions takes."""

    decision: Literal["approve", "reject", "request_changes"]
    payload_hash: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    notes: Annotated[str, StringConstraints(max_length=NOTES_AT_MOST)] | None = None
    reason_code: ReasonCode | None = None
    edits: Any = None
    take_over: bool = False
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None
    tell_requester: bool = False


class ClaimBody(Body):
    """What POST /v1/reviews/{id}/claim takes."""

    take_over: bool = False
    reason: Annotated[str, StringConstraints(max_length=500)] | None = None


class ReviewQuery(Body):
    """The filters of GET /v1/reviews."""

    state: str | None = None
    kind: str | None = None
    role: str | None = None
    job: str | None = None
    mine: bool = False
    limit: int = Field(50, ge=1, le=200)
    cursor: Annotated[str, StringConstraints(max_length=500)] | None = None


@router.get("/reviews")
async def get_reviews(
    request: Request, caller: Annotated[Caller, Depends(Permit("reviews.read"))]
) -> Response:
    """What waits for a decision, oldest first; `mine=true` shows what the caller has claimed."""
    around, asked = context(request), query(request, ReviewQuery)
    filters = asked.model_dump(include={"state", "kind", "role", "job"}, exclude_none=True)
    if asked.mine:
        filters["claimed_by"] = caller.name
    page = await show_review.list_reviews(
        around.ports, caller, filters, asked.cursor, asked.limit, secret=around.secret
    )
    return JSONResponse(page)


@router.get("/reviews/{review_id}")
async def get_review(
    request: Request, review_id: str, caller: Annotated[Caller, Depends(Permit("reviews.read"))]
) -> Response:
    """One review, with every decision on it."""
    return JSONResponse(await show_review.read_review(context(request).ports, caller, review_id))


@router.post("/reviews/{review_id}/decisions", status_code=201, openapi_extra=takes(DecisionBody))
async def post_decision(
    request: Request, review_id: str, caller: Annotated[Caller, Depends(Permit("reviews.decide"))]
) -> Response:
    """Decide on exactly what was shown: its hash comes with the decision."""
    around = context(request)
    raw = await read_json(request, around.body_at_most)
    body = validated(DecisionBody, raw)
    answer = Decided(
        decision=Decision(body.decision),
        payload_hash=body.payload_hash,
        notes=body.notes,
        reason_code=body.reason_code,
        edits=raw.get("edits"),
        has_edits="edits" in raw,
        take_over=body.take_over,
        reason=body.reason,
        tell_requester=body.tell_requester,
    )
    await decide(around.ports, caller, review_id, answer)
    return JSONResponse(await show_review.read_review(around.ports, caller, review_id), 201)


@router.post("/reviews/{review_id}/claim", openapi_extra=takes(ClaimBody))
async def post_claim(
    request: Request, review_id: str, caller: Annotated[Caller, Depends(Permit("reviews.decide"))]
) -> Response:
    """Say that one is looking at it, for a quarter of an hour."""
    around = context(request)
    body = validated(ClaimBody, await read_json(request, around.body_at_most, optional=True))
    await claim(around.ports, caller, review_id, take_over=body.take_over, reason=body.reason)
    return JSONResponse(await show_review.read_review(around.ports, caller, review_id))


@router.post("/reviews/{review_id}/release-claim")
async def post_release_claim(
    request: Request, review_id: str, caller: Annotated[Caller, Depends(Permit("reviews.decide"))]
) -> Response:
    """Give one's claim back."""
    around = context(request)
    await release_claim(around.ports, caller, review_id)
    return JSONResponse(await show_review.read_review(around.ports, caller, review_id))

"""The routes of budgets: how much may be spent, and how much is left."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, StringConstraints

from backlane.api.context import Permit, context
from backlane.api.reading import Body, query, read_json, takes, validated
from backlane.core.budget import Period, Scope
from backlane.service import budgets
from backlane.service.access import Caller

router = APIRouter(prefix="/v1", tags=["budgets"])
# As exact as prices are; no exponent, no sign.
_MONEY = r"^[0-9]{1,12}(\.[0-9]{1,12})?$"


def _above_zero(amount: str) -> str:
    if not amount.strip("0."):
        raise ValueError("must be above 0")
    return amount


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("must be printable")
    return name


_Limit = Annotated[str, StringConstraints(pattern=_MONEY)]
_Assume = Annotated[str, StringConstraints(pattern=_MONEY), AfterValidator(_above_zero)]
_Name = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]


class NoQuery(Body):
    """A route that takes no parameters."""


class BudgetBody(Body):
    """What PUT /v1/budgets takes: amounts are decimal strings in US dollars; `limit` null removes the budget."""

    scope: Scope
    name: _Name | None = None
    period: Period | None = None
    limit: _Limit | None
    assume: _Assume | None = None


@router.get("/budgets")
async def get_budgets(
    request: Request, caller: Annotated[Caller, Depends(Permit("budgets.read"))]
) -> Response:
    """Your workspace's budgets: what is spent, reserved and left, and how many jobs wait for each."""
    query(request, NoQuery)
    found = await budgets.list_budgets(context(request).ports, caller)
    return JSONResponse({"data": found, "next_cursor": None})


@router.put("/budgets", openapi_extra=takes(BudgetBody))
async def put_budget(
    request: Request, caller: Annotated[Caller, Depends(Permit("budgets.manage"))]
) -> Response:
    """Set a hard budget of your workspace, of one account or of one job type; or remove it."""
    around = context(request)
    body = validated(BudgetBody, await read_json(request, around.body_at_most))
    await budgets.set_budget(
        around.ports,
        caller,
        body.scope,
        body.name,
        period=body.period,
        limit=body.limit,
        assume=body.assume,
    )
    return JSONResponse({"data": await budgets.list_budgets(around.ports, caller), "next_cursor": None})

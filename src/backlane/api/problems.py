"""Every error as problem+json (RFC 9457): one table from the error tree to HTTP status."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from backlane import errors

STATUS: Mapping[type[errors.BacklaneError], int] = {
    errors.Malformed: 400,
    errors.TooLarge: 413,
    errors.BadSignature: 400,
    errors.UnsupportedMedia: 415,
    errors.Unauthenticated: 401,
    errors.RoleRequired: 403,
    errors.NotFound: 404,
    errors.InvalidRequest: 422,
    errors.NotAllowed: 409,
    errors.NotAvailable: 409,
    errors.IdempotencyConflict: 409,
    errors.NotThisAttempt: 409,
    errors.AwaitingReview: 409,
    errors.NotReleased: 409,
    errors.StaleJob: 503,
    errors.StoreBusy: 503,
    errors.StoreFull: 507,
    errors.StoreError: 503,
    errors.ServiceError: 503,
}
_TITLES = {404: "Not found", 405: "That method is not served here"}


def problem(
    status: int, code: str, title: str, detail: str, extra: Mapping[str, Any] | None = None
) -> JSONResponse:
    """One problem+json answer."""
    body = {
        "type": f"urn:backlane:problem:{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        **(extra or {}),
    }
    headers = {"Retry-After": "2"} if status == 503 else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def status_of(error: errors.BacklaneError) -> int:
    """The HTTP status of an error, by the nearest class in the table."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)


def of_error(error: errors.BacklaneError) -> JSONResponse:
    """The answer to an error of the product."""
    if isinstance(error, errors.Refusal):
        extra = {**error.extra, "hint": error.hint}
        return problem(status_of(error), error.code, error.title, error.detail, extra)
    title = "The service cannot do this right now"
    return problem(status_of(error), error.code, title, str(error), {"hint": error.hint})


def install(app: FastAPI) -> None:
    """Answer every error of the product, and every unknown route, as problem+json."""

    async def known(_: Request, error: Exception) -> Response:
        assert isinstance(error, errors.BacklaneError)
        return of_error(error)

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return of_error(errors.NotFound())
        title = _TITLES.get(error.status_code, "The request was refused")
        return problem(error.status_code, "http-error", title, str(error.detail))

    app.add_exception_handler(errors.BacklaneError, known)
    app.add_exception_handler(HTTPException, http)

"""What an HTTP status and an error body of the provider mean, pure. Only proof counts as "not bought".

Codes: facts of the provider's error guide; every 5xx but two well-formed 503s may have bought a run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from backlane.core.failure import QUOTA_CODES
from backlane.core.outcome import Gone, Refused, Unknown, When
from backlane.provider.pace import retry_after

_SECRETS = re.compile(r"(sk-|whsec_|blk_|Bearer )[^\s\"',;]+")
_KNOWN_REFUSALS = frozenset(
    {"invalid_prompt", "content_policy_violation", "bio_policy", "misalignment_policy_violation"}
)


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The provider's error object; empty fields where the body was none."""

    code: str
    kind: str
    message: str
    well_formed: bool


def parse(body: bytes) -> Any:
    """The JSON of a body, or None for anything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def error_body(body: bytes) -> ErrorBody:
    """The error in a reply's body."""
    whole = parse(body)
    error: Any = cast(Mapping[str, Any], whole).get("error") if isinstance(whole, Mapping) else None
    if not isinstance(error, Mapping):
        return ErrorBody("", "", "", False)
    found = cast(Mapping[str, Any], error)
    return ErrorBody(
        _word(found.get("code")), _word(found.get("type")), redact(_word(found.get("message"))), True
    )


def _word(value: Any) -> str:
    return value[:500] if isinstance(value, str) else ""


def redact(text: str) -> str:
    """Text without anything that looks like a secret, at most 300 characters."""
    return _SECRETS.sub(lambda found: found[1] + "…", text)[:300]


def _is_quota(error: ErrorBody) -> bool:
    return error.kind == "insufficient_quota" or error.code in QUOTA_CODES


def create_refusal(reply: Reply, now: int) -> Refused | Unknown:
    """What a create's reply other than 200 means (contract section 4)."""
    error, wait = error_body(reply.body), retry_after(reply.headers, now)
    status = reply.status
    if status == 429:
        if _is_quota(error):
            return Refused(When.INCIDENT, error.code or "insufficient_quota", error.message)
        return Refused(When.LATER, error.code or "rate_limit_exceeded", error.message, wait)
    if status == 503 and error.well_formed and error.code in ("server_is_overloaded", "slow_down"):
        return Refused(When.LATER, error.code, error.message, wait)
    if status in (401, 403):
        return Refused(When.INCIDENT, error.code or f"http_{status}", error.message)
    if status in (408, 409) or status >= 500 or status < 400:
        return Unknown(f"http_{status}", error.message or f"the provider answered {status}", wait)
    return Refused(When.NEVER, _refusal_code(status, error), f"HTTP {status}: {error.message}")


def _refusal_code(status: int, error: ErrorBody) -> str:
    if error.code in _KNOWN_REFUSALS:
        return error.code
    if status == 404 or error.code == "model_not_found":
        return "model_not_found"
    return "request_refused"


def look_refusal(reply: Reply, now: int) -> Refused | Unknown | Gone:
    """What a retrieve's or cancel's reply other than 200 means. It never costs the run."""
    error, wait = error_body(reply.body), retry_after(reply.headers, now)
    status = reply.status
    if status == 404:
        return Gone(error.message or "the provider does not know this run")
    if status == 429 and not _is_quota(error):
        return Refused(When.LATER, error.code or "rate_limit_exceeded", error.message, wait)
    if status in (401, 403, 429):
        return Refused(When.INCIDENT, error.code or f"http_{status}", error.message)
    return Unknown(f"http_{status}", error.message or f"the provider answered {status}", wait)

"""What an HTTP status and an error body of the provider mean, pure. Only proof counts as "not bought".

Codes: facts of the provider's error guide; every 5xx but two well-formed 503s may have bought a run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from backlane.core.failure import FILE_CODES, QUOTA_CODES, meaning
from backlane.core.meaning import MEANINGS
from backlane.core.outcome import Gone, Refused, Stored, Unknown, When
from backlane.provider.pace import retry_after

_SECRETS = re.compile(r"(\bsk-|\bwhsec_|\bblk_|\bBearer )[^\s\"',;]+")
# A create names a file that expired or was deleted.
_FILE_GONE = frozenset({"file_not_found", "image_file_not_found"})
_BUSY = frozenset({"server_is_overloaded", "slow_down"})
# Refusals that say more to people than "the provider does not accept this request".
_TELLING = frozenset(
    {
        "invalid_prompt",
        "content_filter",
        "data_residency_mismatch",
        "model_not_found",
        "previous_response_not_found",
    }
)


# The mark of a response whose body was cut at the cap.
TRUNCATED = "backlane_truncated"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply, read whole unless `truncated`. Header names are lower case.

    Where that was asked for, all that was read of a truncated one is `stored`, and `body` is its beginning.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    truncated: bool = False
    stored: Stored | None = None

    @property
    def ok(self) -> bool:
        """Whether the provider says it did what was asked."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The provider's error object; empty fields where the body was none."""

    code: str
    kind: str
    param: str
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
    return error_of(cast(Mapping[str, Any], whole).get("error") if isinstance(whole, Mapping) else None)


def error_of(error: Any) -> ErrorBody:
    """An error object, wherever it stood."""
    if not isinstance(error, Mapping):
        return ErrorBody("", "", "", "", False)
    found = cast(Mapping[str, Any], error)
    return ErrorBody(
        code=_word(found.get("code"), 100),
        kind=_word(found.get("type"), 100),
        param=_word(found.get("param"), 100),
        message=redact(_word(found.get("message"), 1000)),
        well_formed=True,
    )


def _word(value: Any, at_most: int) -> str:
    kept = value[:at_most] if isinstance(value, str) else ""
    return kept.replace("\x00", "").encode("utf-8", "replace").decode()


def redact(text: str) -> str:
    """Text without anything that looks like a secret, at most 300 characters."""
    return _SECRETS.sub(lambda found: found[1] + "…", text)[:300]


def _is_quota(error: ErrorBody) -> bool:
    return error.kind == "insufficient_quota" or error.code in QUOTA_CODES


def _incident(status: int, error: ErrorBody) -> Refused | None:
    """A refusal that only a person can mend: key, permission, quota."""
    if status == 429 and _is_quota(error):
        return Refused(When.INCIDENT, error.code or "insufficient_quota", error.message)
    if status in (401, 403):
        return Refused(When.INCIDENT, error.code or f"http_{status}", error.message)
    return None


def _unknown(status: int, error: ErrorBody, wait: int | None) -> Unknown:
    return Unknown(f"http_{status}", error.message or f"the provider answered {status}", wait)


def create_refusal(reply: Reply, now: int) -> Refused | Unknown:
    """What a create's reply other than success means (contract section 4)."""
    error, wait = error_body(reply.body), retry_after(reply.headers, now)
    status = reply.status
    incident = _incident(status, error)
    if incident is not None:
        return incident
    if status == 429:
        return Refused(When.LATER, error.code or "rate_limit_exceeded", error.message, wait)
    if status == 503 and error.code in _BUSY:
        return Refused(When.LATER, error.code, error.message, wait)
    if status in (408, 409) or not 400 <= status < 500:
        return _unknown(status, error, wait)
    return Refused(When.NEVER, _refusal_code(status, error), f"HTTP {status}: {error.message}"[:300])


def _refusal_code(status: int, error: ErrorBody) -> str:
    if error.code in _FILE_GONE:
        return "file_gone"
    if error.code in FILE_CODES:
        return error.code
    if error.code in _TELLING or meaning(error.code) in (MEANINGS["policy"], MEANINGS["image"]):
        return error.code
    return "model_not_found" if status == 404 and error.param == "model" else "request_refused"


def look_refusal(reply: Reply, now: int) -> Refused | Unknown | Gone:
    """What a retrieve's or cancel's reply other than success means. It never costs the run."""
    error, wait = error_body(reply.body), retry_after(reply.headers, now)
    status = reply.status
    incident = _incident(status, error)
    if incident is not None:
        return incident
    if status == 429:
        return Refused(When.LATER, error.code or "rate_limit_exceeded", error.message, wait)
    # A page of some proxy on the way is no word of the provider that its run is gone.
    if status == 404 and isinstance(parse(reply.body), Mapping):
        return Gone(error.message or "the provider does not know this run")
    return _unknown(status, error, wait)

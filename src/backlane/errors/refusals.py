"""Requests that are refused: answered with problem+json, each naming what to mend."""

from collections.abc import Sequence
from typing import Any

from backlane.errors.root import BacklaneError


class Refusal(BacklaneError):
    """A request that is answered with problem+json."""

    code = "refused"
    title = "The request was refused"
    pointer: str | None = None  # the part of the request it is always about

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        if self.pointer is not None:
            extra["errors"] = [{"pointer": self.pointer, "detail": detail}]
        self.detail = detail
        self.extra = extra


class Malformed(Refusal):
    """The body is not JSON, or is JSON this service does not take."""

    code = "malformed"
    title = "The body cannot be read"
    hint = "Send UTF-8 JSON without duplicate keys or nesting deeper than 64."
    pointer = ""


class TooLarge(Refusal):
    """The request is larger than a declared size."""

    code = "too-large"
    title = "The request is too large"
    hint = "Send less; the limit is in the detail."
    pointer = ""


class BadSignature(Refusal):
    """An event that no known secret signed, or that was signed more than five minutes ago."""

    code = "bad-signature"
    title = "The signature does not hold"
    hint = "Send the bytes as they were signed; check the secret and both clocks."


class UnsupportedMedia(Refusal):
    """The file is of a kind that is not taken, or is not what it claims to be."""

    code = "unsupported-media"
    title = "That kind of file is not taken"
    hint = "Send a file of a kind the detail lists, under its own media type and name."
    pointer = "/file"


class Unauthenticated(Refusal):
    """No key, or one that is not valid now."""

    code = "unauthenticated"
    title = "A valid key is needed"
    hint = "Send 'Authorization: Bearer blk_…'; make a key with 'backlane keys create'."


class RoleRequired(Refusal):
    """The key's role may not do this."""

    code = "role-required"
    title = "Your role may not do this"
    hint = "Ask someone whose role may."


class NotFound(Refusal):
    """No such thing within sight."""

    code = "not-found"
    title = "Not found"
    hint = "Check the id and the key's workspace."

    def __init__(self) -> None:
        # One text for everything out of sight, so that foreign and unknown ids cannot be told apart.
        super().__init__("There is nothing here by that name.")


class InvalidRequest(Refusal):
    """Fields are missing, unknown or wrong; each is named by a JSON pointer."""

    code = "invalid-request"
    title = "The request is not valid"
    hint = "Mend the fields that errors[] names."

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        self.errors = [{"pointer": pointer, "detail": detail} for pointer, detail in errors]
        first = self.errors[0] if self.errors else {"pointer": "", "detail": "not valid"}
        super().__init__(f"{first['pointer'] or '/'}: {first['detail']}", errors=self.errors)


class NotAllowed(Refusal):
    """The job's status does not allow this verb; the verbs that are allowed are listed."""

    code = "not-allowed"
    title = "Not allowed in this status"
    hint = "Use one of the verbs in 'allowed'."

    def __init__(self, status: str, command: str, allowed: Sequence[str] = ()) -> None:
        super().__init__(f"{command} is not allowed while the job is {status}.", allowed=list(allowed))
        self.status = status
        self.command = command


class NotAvailable(Refusal):
    """A part this job needs does not exist in this version."""

    code = "not-available"
    title = "Not available"
    hint = "Use a job type without that part."


class IdempotencyConflict(Refusal):
    """The idempotency key was used with another body."""

    code = "idempotency-conflict"
    title = "That key belongs to another request"
    hint = "Use a new Idempotency-Key for a new request."


class NotThisAttempt(Refusal):
    """The provider's run names another attempt, or is unknown there."""

    code = "not-this-attempt"
    title = "That run is not this attempt's"
    hint = "Find the run whose metadata names this attempt."

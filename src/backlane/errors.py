"""The whole error tree. A class carries a stable code, whether asking again can help, and one hint.

BacklaneError
├── DeclarationError        a job type is declared wrongly (raised at import)
├── SettingsError           a setting is missing or malformed (stops start-up)
├── StoreError              the database cannot be used
│   ├── StoreLocked         another worker holds this SQLite file
│   ├── StoreBusy           the database did not answer in time
│   ├── StoreFull           no room to write
│   └── StoreDamaged        the database file is damaged
├── CheckFailed             raised by a job type's check
├── ToolFailed              raised by a job type's tool
├── ServiceError            what a client of the service sees
│   ├── ServiceUnreachable  nobody answers at BACKLANE_URL
│   └── WaitTimeout         a waited-for job did not end in time
├── StaleJob                a guarded write found another version (internal, always caught)
└── Refusal                 a request that is answered with problem+json
    ├── Malformed           not JSON, or JSON this service does not take
    ├── TooLarge            over a declared size
    ├── BadSignature        an event that its sender did not sign
    ├── UnsupportedMedia    a file of a kind that is not taken, or not the one it claims to be
    ├── Unauthenticated     no key, or one that is not valid now
    ├── RoleRequired        the key's role may not do this
    ├── NotFound            no such thing within sight
    ├── InvalidRequest      fields are missing, unknown or wrong
    ├── NotAllowed          the job's status does not allow this verb
    ├── NotAvailable        a part this job needs does not exist yet
    ├── IdempotencyConflict the key was used with another body
    ├── NotThisAttempt      a provider run belongs to something else
    ├── AwaitingReview      content is closed until the review is decided
    └── NotReleased         content stays closed: the job ended unreleased
"""

from collections.abc import Mapping, Sequence
from typing import Any


class BacklaneError(Exception):
    """The root of everything Backlane raises."""

    code = "error"
    retryable = False
    hint = "See the message."


class DeclarationError(BacklaneError):
    """A job type is declared wrongly; the message names the type and the fault."""

    code = "declaration"
    hint = "Mend the declaration the message names."

    def __init__(self, type_name: str, fault: str) -> None:
        super().__init__(f"job type {type_name!r}: {fault}")
        self.type_name = type_name
        self.fault = fault


class SettingsError(BacklaneError):
    """A setting is missing or malformed; the message names it and says the mend."""

    code = "settings"
    hint = "Set the variable the message names."


class StoreError(BacklaneError):
    """The database cannot be used."""

    code = "store"
    hint = "Run 'backlane doctor'."


class StoreLocked(StoreError):
    """Another worker process holds this SQLite file."""

    code = "store-locked"
    hint = "Stop the other worker, start this one with --no-worker, or use PostgreSQL for several workers."


class StoreBusy(StoreError):
    """The database did not answer in time."""

    code = "store-busy"
    retryable = True
    hint = "Try again in a few seconds."


class StoreFull(StoreError):
    """There is no room to write; nothing was stored."""

    code = "store-full"
    retryable = True
    hint = "Free some disk space and try again."


class StoreDamaged(StoreError):
    """The database file is damaged; nothing more is written to it."""

    code = "store-damaged"
    hint = "Stop the service, restore a backup, then run 'backlane doctor --restored'."


class CheckFailed(BacklaneError):
    """Raised by a job type's check when a result must not pass; the message is kept as evidence."""

    code = "check-failed"
    hint = "Read the check's report in the job's artifacts."


class ToolFailed(BacklaneError):
    """Raised by a job type's tool that cannot answer; the model is told the message, any other error only by name."""

    code = "tool-failed"
    hint = "Read what the model was told in the job's tool_output artifacts."


class ServiceError(BacklaneError):
    """An answer of the service that is not success, as a client sees it."""

    code = "service"

    def __init__(self, message: str, *, status: int = 0, problem: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.problem: dict[str, Any] = dict(problem or {})
        if self.problem:
            self.code = str(self.problem.get("code", "service"))


class ServiceUnreachable(ServiceError):
    """Nobody answers at the service's address."""

    code = "unreachable"
    retryable = True
    hint = "Start it with 'backlane serve', or set BACKLANE_URL."


class WaitTimeout(ServiceError):
    """A waited-for job did not end in time; it goes on."""

    code = "wait-timeout"
    retryable = True
    hint = "Ask again later, or wait longer: the job goes on by itself."


class StaleJob(BacklaneError):
    """A guarded write found another version or lease of the job; reload and decide again."""

    code = "stale-job"
    retryable = True
    hint = "Reload the job."

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id} was changed by someone else")
        self.job_id = job_id


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


class AwaitingReview(Refusal):
    """The content is closed until the job's review is decided."""

    code = "awaiting-review"
    title = "Being reviewed"
    hint = "Wait for the review's decision."


class NotReleased(Refusal):
    """The job ended unreleased, so its content stays closed."""

    code = "not-released"
    title = "Not released"
    hint = "This content was never released; retry the job or ask the reviewer."

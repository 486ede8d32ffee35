"""The root of the tree, and everything that is not a refused request."""

from collections.abc import Mapping
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


class ActionFailed(BacklaneError):
    """Raised by a job type's action: it surely did not happen, and will not happen later."""

    code = "action-failed"
    hint = "Raise it only where the outside refused; any other error counts as unknown."


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

"""Cases: what a person looks after once a job could not help itself, and which ends open one by themselves. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from backlane.core.job import Phase, Status
from backlane.core.meaning import MEANINGS, Cause

REASON_AT_MOST = 2_000
PROMISE_AT_MOST = 500


class CaseState(StrEnum):
    """Whether somebody still looks after it."""

    OPEN = "open"
    CLOSED = "closed"


# What opens a case by itself unless the job type says otherwise. Everything that is not here does not.
OPENS_BY_DEFAULT: Mapping[str, bool] = MappingProxyType(
    {
        # Somebody outside may be affected, and only a person can find out.
        "effect_unknown": True,
        # The job was set aside; nothing will take it up again by itself.
        "worker_crashed": True,
        # Whoever asked can make it again.
        "expired": False,
    }
)
_PHASES = frozenset({"effect_unknown", "submission_unknown"})
# What a job type's table may name: an end, a doubt, a cause, or the code of a failure.
OPENERS = frozenset({"expired", *_PHASES, *(str(cause) for cause in Cause), *MEANINGS})


def opens_by_itself(
    table: Mapping[str, bool], status: Status, phase: Phase | None, failure: Mapping[str, Any] | None
) -> bool:
    """Whether a job that came to this opens a case by itself. The more exact word counts: code before cause,
    the type's table before the default."""
    words = _words(status, phase, failure)
    for rules in (table, OPENS_BY_DEFAULT):
        for word in words:
            if word in rules:
                return rules[word]
    return False


def _words(status: Status, phase: Phase | None, failure: Mapping[str, Any] | None) -> list[str]:
    if status is Status.FAILED and failure is not None:
        return [str(failure["code"]), str(failure["cause"])]
    if status is Status.EXPIRED:
        return ["expired"]
    return [str(phase)] if phase is not None and str(phase) in _PHASES else []

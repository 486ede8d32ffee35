"""What a person's decision on a review leads to. Pure: rows and a caller in, a verdict out; it decides nothing else."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from backlane.core.schedule import MINUTE

# How long a claim keeps others waiting; deciding without one is allowed.
CLAIM_LASTS = 15 * MINUTE
NOTES_AT_MOST = 10_000


class Decision(StrEnum):
    """What a reviewer may answer."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_CHANGES = "request_changes"


class ReasonCode(StrEnum):
    """Why something was not approved, in one word."""

    WRONG = "wrong"
    INCOMPLETE = "incomplete"
    UNSUPPORTED = "unsupported"
    TONE = "tone"
    POLICY = "policy"
    SENSITIVE = "sensitive"
    DUPLICATE = "duplicate"
    NOT_NEEDED = "not_needed"
    OTHER = "other"


# Reviews that only `resolve` closes: nobody's approval says what really happened.
RESOLVED_ONLY = frozenset({"submission_unknown", "effect_unknown"})
# What a draft that is sent back leaves for the next one: what people, tools and actions brought.
STAYS = frozenset({"input", "reviewer_notes", "tool_output", "record"})
# The roles that decide.
DECIDING = frozenset({"reviewer", "admin"})


def may_decide(review: Mapping[str, Any], role: str) -> bool:
    """Whether a role decides this review: the review's own, or an admin."""
    return role in DECIDING and role in (review["role"], "admin")


def is_requester(submitted_by: str, user: str | None, name: str) -> bool:
    """Whether duties are to be separated from this person: the submitter, or the person the job is for."""
    return name in (submitted_by, user)


def claimed_by_another(review: Mapping[str, Any], name: str, now: int) -> str | None:
    """Who else is looking at it now, if anybody."""
    holder, until = review["claimed_by"], review["claimed_until"]
    live = holder is not None and until is not None and until > now
    return holder if live and holder != name else None


def approvals(decisions: Sequence[Mapping[str, Any]], version: int) -> set[str]:
    """Who approved this version of the payload; one person counts once."""
    return {
        row["actor"] for row in decisions if row["version"] == version and row["decision"] == Decision.APPROVE
    }

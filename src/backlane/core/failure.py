"""Why a job failed, in one cause, one sentence and four answers. Pure.

Automatic retries are only for what a retry can mend; everything else says what a person can do.
"""

from collections.abc import Sequence
from typing import Any

from backlane.core.meaning import MEANINGS, Meaning

_POLICY_CODES = frozenset(
    {
        "bio_policy",
        "misalignment_policy_violation",
        "image_content_policy_violation",
        "content_policy_violation",
    }
)
_IMAGE_WORDS = ("image",)
# The provider's words for a file that it cannot read.
FILE_CODES = frozenset(
    {
        "invalid_file",
        "invalid_file_format",
        "unsupported_file",
        "empty_file",
        "file_too_large",
        "file_parse_error",
    }
)
# Runs that ended with these are bought again by schedule (contract section 4).
RETRIED_RUNS = frozenset({"server_error", "rate_limit_exceeded", "vector_store_timeout"})
# Trouble of the provider or of one moment; every other code, met by job after job, is the type's own doing.
_PASSING = RETRIED_RUNS | {
    "run_failed",
    "stopped_at_provider",
    "result_gone",
    "attempts_used_up",
    "submission_given_up",
    "type_changed",
    "account_changed",
}
# So many jobs of a type in a row that failed alike are no accident.
ALIKE = 5


def is_design(codes: Sequence[str | None]) -> bool:
    """Whether a type's newest ends (failure codes, None for a good end) say that the task design is wrong."""
    newest = codes[:ALIKE]
    code = newest[0] if len(newest) == ALIKE else None
    if code is None or code in _PASSING or meaning(code) is MEANINGS["run_failed"]:
        return False
    return set(newest) == {code}


# Seen both as HTTP 429 and as the code of a failed run: a person must mend the account.
QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
    }
)


def meaning(code: str) -> Meaning:
    """What a failure code means; a code nobody has seen before is a failed run of the provider."""
    if code in MEANINGS:
        return MEANINGS[code]
    if code in _POLICY_CODES:
        return MEANINGS["policy"]
    if code in FILE_CODES:
        return MEANINGS["file"]
    if any(word in code for word in _IMAGE_WORDS):
        return MEANINGS["image"]
    return MEANINGS["run_failed"]


def card(
    code: str, *, detail: str | None = None, partial: bool = False, retry_at: str | None = None
) -> dict[str, Any]:
    """The `failure` of a Job: one cause, one sentence, four answers.

    `detail` is kept beside the sentence only where it was written by us or is the provider's own error.
    """
    what = meaning(code)
    return {
        "cause": str(what.cause),
        "code": code,
        "message": what.sentence if not detail else f"{what.sentence} ({detail[:500]})",
        "retryable": what.retryable,
        "partial_output": partial,
        "human_needed": what.human_needed,
        "retry_at": retry_at,
        "next_steps": list(what.next_steps),
    }

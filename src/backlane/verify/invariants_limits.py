"""I09: what requests left behind is within what a request may hold, and no end lacks a declared cause. Pure, over rows.

What was answered, how long it took and how much memory it held is no row; the tests of the API show that.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from backlane.core.case import PROMISE_AT_MOST, REASON_AT_MOST
from backlane.core.job import Status
from backlane.core.meaning import MEANINGS, Cause
from backlane.core.policy import REASON_AT_MOST as POLICY_REASON_AT_MOST
from backlane.core.review import NOTES_AT_MOST
from backlane.core.verb import MESSAGE_AT_MOST
from backlane.verify.evidence import Evidence, Row

Finding = Iterator[str]


def within_what_is_declared(evidence: Evidence) -> Finding:
    """I09: what people sent is no longer than a request may hold; a failed job names a cause that is declared."""
    for kind, rows, column, at_most in _texts(evidence):
        for row in rows:
            size = len(row[column] or "")
            if size > at_most:
                yield f"{kind} {row['id']} holds {size} characters of {column}, at most {at_most} are taken"
    for job in evidence.jobs:
        if job["status"] == Status.FAILED:
            yield from _cause(job)


def _texts(evidence: Evidence) -> Iterator[tuple[str, Sequence[Row], str, int]]:
    """What people write, and how much of it a request may bring."""
    told = [row for row in evidence.cases if row["opened_by"] != "backlane"]
    yield "case", told, "reason", REASON_AT_MOST
    yield "case", evidence.cases, "promise", PROMISE_AT_MOST
    yield "note", evidence.notes, "text", NOTES_AT_MOST
    yield "decision", evidence.decisions, "notes", NOTES_AT_MOST
    yield "message", evidence.messages, "text", MESSAGE_AT_MOST
    yield "verdict", evidence.verdicts, "reason", POLICY_REASON_AT_MOST


def _cause(job: Row) -> Finding:
    failure: dict[str, Any] = job["failure"] or {}
    cause, code = failure.get("cause"), failure.get("code")
    if cause not in set(Cause) or not code or not failure.get("message"):
        yield f"{job['id']} failed with cause {cause} and code {code}, which nobody declared"
    elif cause == Cause.INTERNAL and (code not in MEANINGS or MEANINGS[code].cause is not Cause.INTERNAL):
        yield f"{job['id']} failed by {code}, an internal fault that nobody declared"


LIMIT_INVARIANTS: dict[str, Callable[[Evidence], Finding]] = {"I09": within_what_is_declared}

"""A reviewer's words for whoever asked: theirs to read once the review is decided, not before.

Under a quorum the first approval decides nothing, and its note may quote what is still closed.
"""

from backlane.core.event import Event
from backlane.core.job import Job
from backlane.core.review import Decision
from backlane.core.storage import Row, Transaction
from backlane.service.outputs import Output, add_outputs, sha256_hex
from backlane.service.ports import Ports

_DECIDED = {
    "approved": Decision.APPROVE,
    "rejected": Decision.REJECT,
    "changes_requested": Decision.REQUEST_CHANGES,
}


def tell_requester(tx: Transaction, ports: Ports, job: Job, review_id: str) -> list[Event]:
    """Add the notes that are marked for the requester, if this decision was the last one that the review needed."""
    review = tx.review(review_id)
    assert review is not None
    outputs = [_output(row) for row in tx.decisions(review_id) if row["notes"] and is_told(review, row)]
    return add_outputs(tx, ports, job, outputs, attempt_id=None, now=ports.clock.now())


def is_told(review: Row, decision: Row) -> bool:
    """Whether the requester may read this decision's note: it is marked for them, and is what was decided."""
    same = _DECIDED.get(review["state"]) == decision["decision"]
    return bool(decision["for_requester"]) and same and decision["version"] == review["version"]


def _output(decision: Row) -> Output:
    text = str(decision["notes"]).encode()
    return Output("reviewer_notes", "reviewer-notes.md", "text/markdown", len(text), sha256_hex(text), text)

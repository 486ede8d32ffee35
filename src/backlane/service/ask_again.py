"""Asking once more for what an ended job was asked for: in its place, or to go on from it."""

from dataclasses import replace
from typing import Any

from backlane.core.lane import Window
from backlane.errors import NotAvailable
from backlane.service.access import Caller
from backlane.service.ports import Ports
from backlane.service.submit import Lineage, Prepared, Submission, lowest_cost, prepare


def ask_again(
    ports: Ports,
    caller: Caller,
    lineage: Lineage,
    inputs: Any,
    *,
    lane: str | None = None,
    useful_until: int | None = None,
) -> Prepared:
    """The new job: the same but for what is asked otherwise; it stays its first requester's, whoever asks.

    A completion window that its own useful time has no room for any more is let go. Raises as `prepare` does.
    """
    old = lineage.retry_of
    submission = Submission(
        type=old.type,
        inputs=inputs,
        user=None,
        account=old.account,
        lane=lane or old.lane,
        window=old.window if lane in (None, old.lane) else None,
        live=old.live,
        useful_until=useful_until,
        priority=old.priority,
        sensitive=old.sensitive is not None,
        max_cost=lowest_cost(old.max_cost, None),
        metadata=old.metadata,
    )
    try:
        prepared = prepare(ports, caller, submission, lineage)
    except NotAvailable:
        if submission.window in (None, Window.SOONEST):
            raise
        # The old job may have had a longer useful window of its own than the new one has.
        prepared = prepare(ports, caller, replace(submission, window=Window.SOONEST), lineage)
    return replace(prepared, job=replace(prepared.job, submitted_by=old.submitted_by, user=old.user))

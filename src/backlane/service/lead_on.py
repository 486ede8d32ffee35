"""What a decision leads to, by the kind of its review: one table, read by `decide`."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Job, Phase
from backlane.core.lifecycle import Command
from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller
from backlane.service.approve_action import approve_action, edited_arguments, keep_arguments, reject_action
from backlane.service.edit import edited_output, kept_edit
from backlane.service.fail import fail
from backlane.service.judge import is_examined
from backlane.service.ports import Ports
from backlane.service.release import decided_release
from backlane.service.request_changes import Changes, send_back

Led = tuple[Job, Sequence[Event]]


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How one kind of review is edited, approved, rejected and sent back."""

    edited: Callable[[Ports, Job, Row, Any], Awaitable[Any]]
    keep_edit: Callable[[Transaction, Ports, Caller, Job, Row, Any], tuple[Row, list[Event]]]
    approve: Callable[[Transaction, Ports, Caller, Job, Row, int], Led]
    reject: Callable[[Transaction, Ports, Caller, Job, Row, int], Led]
    change: Callable[[Transaction, Ports, Caller, Job, Row, Changes], Led]


def _release(tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, now: int) -> Led:
    """Release it; an edited version is checked again first, where the type has checks."""
    job_type = ports.types.get(job.type)
    if review["version"] > 1 and (job_type is None or is_examined(job_type)):
        after, event = lifecycle.apply(job, Command.RECHECK, now, phase=Phase.CHECK, actor=caller.name)
        return replace(after, due_at=now), [event]
    return decided_release(job, review, now, actor=caller.name)


def _reject(tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, now: int) -> Led:
    """It ends failed, and what was written stays closed."""
    after, event = fail(job, now, "rejected", actor=caller.name)
    return replace(after, review_state="rejected"), [event]


def _act(tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, now: int) -> Led:
    return approve_action(tx, ports, job, review, now, actor=caller.name)


def _reject_action(tx: Transaction, ports: Ports, caller: Caller, job: Job, review: Row, now: int) -> Led:
    return reject_action(tx, ports, job, review, now, actor=caller.name)


_OUTPUT = FollowUp(edited_output, kept_edit, _release, _reject, send_back)
_ACTION = FollowUp(edited_arguments, keep_arguments, _act, _reject_action, send_back)
FOLLOW_UPS: Mapping[str, FollowUp] = MappingProxyType(
    {
        Phase.OUTPUT: _OUTPUT,
        Phase.SENSITIVE: _OUTPUT,
        Phase.SAMPLED: _OUTPUT,
        Phase.ACTION: _ACTION,
    }
)


def is_decided(review: Row) -> bool:
    """Whether people decide on this kind of review; the others are resolved."""
    return review["kind"] in FOLLOW_UPS


def lead_on(review: Row) -> FollowUp:
    """What decisions on this kind of review lead to."""
    return FOLLOW_UPS[review["kind"]]

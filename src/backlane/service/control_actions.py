"""People and actions: take an approved one back, say what became of an unknown one, stop them all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backlane.core import lifecycle
from backlane.core.action import Action, ActionState
from backlane.core.event import Event
from backlane.core.job import Job, Phase
from backlane.core.lifecycle import TERMINAL, Command
from backlane.core.storage import Transaction
from backlane.errors import InvalidRequest, RoleRequired
from backlane.service.access import Caller
from backlane.service.fail import fail
from backlane.service.keep_effect import did_not_happen, succeeded
from backlane.service.open_case import follow_up
from backlane.service.permit import refusal
from backlane.service.ports import Ports
from backlane.service.release import close_open_review
from backlane.service.show_actions import find_action, may_undo
from backlane.service.witness import witness

_OUTCOMES = ("happened", "did_not_happen")


async def undo_action(ports: Ports, caller: Caller, action_id: str, reason: str | None) -> str:
    """Take an approved action back before it is carried out; the job ends, and says why. The action's id.

    Raises NotFound, RoleRequired, NotAllowed.
    """

    def body(tx: Transaction) -> None:
        job, action = find_action(tx, caller, action_id)
        review = None if action.review_id is None else tx.review(action.review_id)
        if not may_undo(caller, job, review):
            raise RoleRequired("Who asked for the job, its reviewers and operators may undo its actions.")
        now = ports.clock.now()
        undone = {"state": ActionState.UNDONE, "finished_at": now, "settled_by": "person"}
        open_job = job.status not in TERMINAL and job.phase is not Phase.CANCELING
        if not open_job or not tx.move_action(action_id, [ActionState.APPROVED], **undone):
            raise refusal(tx, ports, caller, job, "undo", f"{action.state}, which is an action's state,")
        told = Event("action.undone", now, caller.name, {"action": action_id, "number": action.number})
        after, event = fail(job, now, "undone", actor=caller.name)
        saved = tx.save(job, after, [told, event])
        follow_up(tx, ports, saved)
        witness(tx, ports, caller, "action.undo", action_id, job=job.id, reason=(reason or "")[:500])

    await ports.store.write(body)
    ports.notify()
    return action_id


async def resolve_action(
    ports: Ports, caller: Caller, action_id: str, outcome: str, notes: str | None
) -> str:
    """An operator says what became of an action that nobody knows of; the action's id.

    `happened` goes on as if it had succeeded; `did_not_happen` ends the job, and nothing is carried out again.
    Raises NotFound, RoleRequired, NotAllowed, InvalidRequest.
    """
    if outcome not in _OUTCOMES:
        raise InvalidRequest([("/outcome", f"must be one of {', '.join(_OUTCOMES)}")])

    def body(tx: Transaction) -> None:
        job, action = find_action(tx, caller, action_id)
        # Out of sight is not found before it is not allowed.
        if caller.role not in ("operator", "admin"):
            raise RoleRequired(f"This needs the role operator or admin; yours is {caller.role}.")
        if action.state is not ActionState.UNKNOWN or job.phase is not Phase.EFFECT_UNKNOWN:
            raise refusal(tx, ports, caller, job, "resolve", f"{action.state}, which is an action's state,")
        now = ports.clock.now()
        job, _ = close_open_review(tx, job, now, "approved")
        after, told = _resolved(tx, ports, job, action, outcome, actor=caller.name)
        data = {
            "action": action_id,
            "number": action.number,
            "choice": outcome,
            "notes": (notes or "")[:2000],
        }
        saved = tx.save(job, after, [Event("action.resolved", now, caller.name, data), *told])
        if saved.status is not job.status:
            follow_up(tx, ports, saved)
        said = {"outcome": outcome, "notes": (notes or "")[:2000]}
        witness(tx, ports, caller, "action.resolve", action_id, job=job.id, **said)

    await ports.store.write(body)
    ports.notify()
    return action_id


def _resolved(
    tx: Transaction, ports: Ports, job: Job, action: Action, outcome: str, *, actor: str
) -> tuple[Job, Sequence[Event]]:
    now = ports.clock.now()
    if outcome == "happened":
        told = succeeded(tx, ports, action, None, by="person", actor=actor)
        after, event = lifecycle.apply(job, Command.ACT, now, phase=Phase.ACTION, actor=actor)
        return replace(after, due_at=now), [*told, event]
    told = did_not_happen(tx, ports, action, "action_did_not_happen", by="person", actor=actor)
    after, event = fail(job, now, "action_did_not_happen", actor=actor)
    return after, [*told, event]


@dataclass(frozen=True, slots=True)
class Switch:
    """Whether a workspace's actions are stopped; milliseconds since 1970."""

    stopped_at: int | None


async def read_switch(ports: Ports, caller: Caller) -> Switch:
    """The workspace's kill switch."""
    return Switch(await ports.store.read(lambda tx: tx.actions_stopped_at(caller.workspace)))


async def stop_actions(ports: Ports, caller: Caller, reason: str | None) -> Switch:
    """Nothing of this workspace is carried out any more until an admin allows it; what was sent is followed."""

    def body(tx: Transaction) -> None:
        if tx.stop_actions(caller.workspace, ports.clock.now()):
            witness(tx, ports, caller, "actions.stop", caller.workspace, reason=(reason or "")[:500])

    await ports.store.write(body)
    return await read_switch(ports, caller)


async def allow_actions(ports: Ports, caller: Caller, reason: str | None) -> Switch:
    """Approved actions are carried out again, those that waited at once, if their approvals still stand."""

    def body(tx: Transaction) -> None:
        if tx.allow_actions(caller.workspace):
            now = ports.clock.now()
            for job_id in tx.waiting_to_act(caller.workspace):
                tx.wake(job_id, now)
            witness(tx, ports, caller, "actions.allow", caller.workspace, reason=(reason or "")[:500])

    await ports.store.write(body)
    ports.notify()
    return await read_switch(ports, caller)

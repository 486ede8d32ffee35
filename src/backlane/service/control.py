"""People in control: cancel, retry, resolve. Each is a row of the lifecycle table; nothing is half done."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from backlane.core import lifecycle
from backlane.core.action import carried
from backlane.core.event import Event
from backlane.core.job import IN_DOUBT, RESTORED, Attempt, AttemptState, Job, Phase, Status, newest_of
from backlane.core.lifecycle import Command
from backlane.core.outcome import Failed, Finished, Gone, Pending
from backlane.core.storage import Row, Transaction
from backlane.errors import InvalidRequest, NotThisAttempt, RoleRequired, ServiceError
from backlane.service.accept import keep_accepted
from backlane.service.access import Caller, owns, visible
from backlane.service.ask_again import ask_again
from backlane.service.fail import fail
from backlane.service.link import files_of, link_files
from backlane.service.open_case import follow_up
from backlane.service.permit import permit, refusal
from backlane.service.ports import Ports
from backlane.service.release import close_open_review
from backlane.service.settle import end
from backlane.service.settle_remote import lose_carried
from backlane.service.submit import Lineage, Prepared
from backlane.service.take_turns import first_turn
from backlane.service.take_up import kept_by, said_first
from backlane.service.witness import witness

_MAYBE_OUT = (AttemptState.SENDING, AttemptState.UNKNOWN, AttemptState.ACCEPTED)


async def cancel(ports: Ports, caller: Caller, job_id: str, reason: str | None) -> Job:
    """Stop a job: at once where nothing is out, else the provider is asked first. Asking twice is one asking."""

    def body(tx: Transaction) -> Job:
        job = visible(tx, caller, tx.job(job_id, lock=True))
        if job.phase is Phase.CANCELING and job.ends_as == "canceled":
            return job
        permit(tx, ports, caller, job, "cancel")
        now = ports.clock.now()
        attempts = tx.attempts(job_id)
        newest = newest_of(attempts)
        if newest is not None and newest.state in _MAYBE_OUT:
            after, told = _ask(job, now, caller, reason)
        else:
            after, told = _cancel_now(tx, job, newest, now, caller)
        saved = tx.save(job, after, told)
        if saved.status is not job.status:
            follow_up(tx, ports, saved)
        if told:
            witness(tx, ports, caller, "job.cancel", job_id, job=job_id)
        return saved

    job = await ports.store.write(body)
    ports.notify()
    return job


def _ask(job: Job, now: int, caller: Caller, reason: str | None) -> tuple[Job, Sequence[Event]]:
    if job.phase is Phase.CANCELING:
        # The window's end already stops it, and was asked first: that word stands.
        return replace(job, due_at=now), ()
    data = {"reason": (reason or "")[:500]} if reason else {}
    after, event = lifecycle.apply(
        job, Command.REQUEST_CANCEL, now, phase=Phase.CANCELING, actor=caller.name, data=data
    )
    return replace(after, ends_as="canceled", cancel_asked_at=now, due_at=now), [event]


def _cancel_now(
    tx: Transaction, job: Job, newest: Attempt | None, now: int, caller: Caller
) -> tuple[Job, Sequence[Event]]:
    if newest is not None:
        tx.move_attempt(newest.id, [AttemptState.PLANNED], state=AttemptState.CANCELED, finished_at=now)
    job, told = close_open_review(tx, job, now, "expired")
    after, events = end(job, now, "canceled", actor=caller.name)
    return after, [*events, *told]


async def retry(
    ports: Ports,
    caller: Caller,
    job_id: str,
    *,
    inputs: Any = None,
    lane: str | None = None,
    useful_until: int | None = None,
    start: str = "start",
    reason: str | None = None,
) -> tuple[Job, bool]:
    """A new job in place of one that ended, made at most once; whether this call made it.

    It is validated anew, gets a fresh window, and its gate is never looser than the old one's. Other `inputs`
    are the requester's to give. With `start` "partial" it goes on from what the old one kept. Raises NotFound,
    RoleRequired, NotAllowed, InvalidRequest.
    """

    def body(tx: Transaction) -> tuple[Job, bool]:
        old = _again(tx, ports, caller, job_id, inputs)
        if old.retried_as is not None and (known := tx.job(old.retried_as)) is not None:
            return known, False
        stored = tx.inputs(job_id)
        same = inputs is None or stored == json.dumps(inputs, ensure_ascii=False)
        given = json.loads(stored) if inputs is None else inputs
        kept = kept_by(tx, old) if start == "partial" else None
        lineage = Lineage(old, draw=tx.draw(old.id), same_inputs=same, goes_on_from=kept)
        prepared = ask_again(ports, caller, lineage, given, lane=lane, useful_until=useful_until)
        job = replace(prepared.job, continues=old.continues)
        _make(tx, ports, job, prepared, said_first(tx, old, kept, same_inputs=same))
        link_files(tx, caller, job, files_of(ports, job, prepared.inputs), carried_from=old.id)
        assert tx.mark_retried(old, job.id)
        data = {"retried_as": job.id, "why": reason[:2000]} if reason else {"retried_as": job.id}
        tx.keep_events(old.id, [Event("job.retried", ports.clock.now(), caller.name, data)])
        witness(tx, ports, caller, "job.retry", job_id, job=job_id, retried_as=job.id)
        return job, True

    made = await ports.store.write(body)
    ports.notify()
    return made


def _again(tx: Transaction, ports: Ports, caller: Caller, job_id: str, inputs: Any) -> Job:
    """The job, if this caller may ask for it again, and with these inputs."""
    old = visible(tx, caller, tx.job(job_id, lock=True))
    permit(tx, ports, caller, old, "retry")
    if inputs is not None and not owns(caller, old):
        # Duties are separated by who asked: nobody writes the inputs of another's job, and then decides on it.
        raise RoleRequired("Only who asked for a job may give other inputs; submit a job of your own.")
    return old


def _make(tx: Transaction, ports: Ports, job: Job, prepared: Prepared, said: Row | None) -> None:
    """Write the new job, with what its first turn says beside its inputs."""
    if said is None:
        prepared.keep(tx, ports, job)
        return
    attempt, turn, planned = first_turn(ports, job, ports.clock.now(), said)
    prepared.keep(tx, ports, job, [planned])
    tx.insert_attempt(attempt)
    tx.insert_turn(turn)


async def resolve(
    ports: Ports,
    caller: Caller,
    job_id: str,
    choice: str,
    *,
    provider_response_id: str | None = None,
    notes: str | None = None,
) -> Job:
    """An operator settles what nobody could know: run again, give up, or attach the run that was found.

    Attaching retrieves the run first; it must name this attempt. Raises NotAllowed, NotThisAttempt.
    """
    if choice not in ("run_again", "give_up", "attach"):
        raise InvalidRequest([("/choice", "must be run_again, give_up or attach")])
    if (choice == "attach") != (provider_response_id is not None):
        raise InvalidRequest([("/provider_response_id", "goes with choice attach, and only with it")])

    def before(tx: Transaction) -> tuple[Attempt, list[Attempt]]:
        return _doubtful(tx, ports, caller, job_id)[1], tx.attempts(job_id)

    attempt, known = await ports.store.read(before)
    status = "queued"
    if provider_response_id is not None:
        status = await _find(ports, attempt, known, provider_response_id)

    def body(tx: Transaction) -> Job:
        job, attempt = _doubtful(tx, ports, caller, job_id)
        if choice == "run_again" and carried(tx.actions(job_id)):
            where = "waiting for a run that carries approved calls; attach it or give it up, "
            raise refusal(tx, ports, caller, job, choice, where)
        found = None if provider_response_id is None else (provider_response_id, status)
        now = ports.clock.now()
        data = {"choice": choice, "attempt": attempt.id, "notes": (notes or "")[:2000]}
        resolved = Event("job.resolved", now, caller.name, data)
        job, _ = close_open_review(tx, job, now, "approved")
        after, told = _resolved(tx, ports, job, attempt, choice=choice, found=found, actor=caller.name)
        saved = tx.save(job, after, [resolved, *told])
        if saved.status is not job.status:
            follow_up(tx, ports, saved)
        witness(tx, ports, caller, "job.resolve", job_id, job=job_id, choice=choice)
        return saved

    job = await ports.store.write(body)
    ports.notify()
    return job


def _resolved(
    tx: Transaction,
    ports: Ports,
    job: Job,
    attempt: Attempt,
    *,
    choice: str,
    found: tuple[str, str] | None,
    actor: str,
) -> tuple[Job, list[Event]]:
    """The job as the choice leaves it: failed, to be run again, or following the run that was found."""
    now = ports.clock.now()
    lost = lose_carried(tx, ports, job.id) if choice == "give_up" else []
    if lost:
        # Before the job ends somebody has to find out what the calls did.
        after, event = lifecycle.apply(job, Command.ACT, now, phase=Phase.ACTION, actor=actor)
        return replace(after, due_at=now), [*lost, event]
    if choice == "give_up":
        after, event = fail(job, now, "submission_given_up", actor=actor)
        return after, [event]
    told = [] if found is None else _found(tx, attempt, found[0], found[1], now)
    phase = Phase.READY if found is None else Phase.PROVIDER
    after, event = lifecycle.apply(
        job, Command.REQUEUE, now, phase=phase, actor=actor, data={"choice": choice}
    )
    response_id = after.provider_response_id if found is None else found[0]
    after = replace(after, due_at=now, wait_until=None, provider_response_id=response_id)
    return after, [*told, event]


def _found(tx: Transaction, attempt: Attempt, response_id: str, status: str, now: int) -> list[Event]:
    """The run, to be followed (again): one that was lost with its stream has its id already."""
    if attempt.provider_response_id != response_id:
        return keep_accepted(tx, attempt.id, response_id, status, now, look_at=now)
    tx.move_attempt(attempt.id, [AttemptState.UNKNOWN], state=AttemptState.ACCEPTED, look_at=now)
    data = {"attempt": attempt.id, "provider_response_id": response_id, "status": status}
    return [Event("attempt.adopted", now, "provider", data)]


def _doubtful(tx: Transaction, ports: Ports, caller: Caller, job_id: str) -> tuple[Job, Attempt]:
    job = visible(tx, caller, tx.job(job_id, lock=True))
    permit(tx, ports, caller, job, "resolve")
    attempts = tx.attempts(job_id)
    newest = newest_of(attempts)
    if job.status is not Status.NEEDS_REVIEW or newest is None or newest.state not in IN_DOUBT:
        raise refusal(tx, ports, caller, job, "resolve")
    return job, newest


async def _find(ports: Ports, attempt: Attempt, known: Sequence[Attempt], response_id: str) -> str:
    """The found run's status word. Raises NotThisAttempt unless its metadata names this attempt.

    After a restore the attempt's own id may be lost: then a run of this job that no other attempt knows.
    """
    outcome = await ports.provider.look(attempt.provider_account, response_id)
    match outcome:
        case Pending(status, _, metadata):
            named = metadata
        case Finished(answer) | Failed(answer):
            status, named = "in_progress", answer.metadata
        case Gone():
            raise NotThisAttempt("The provider does not know a run by that id.")
        case _:
            raise ServiceError("the provider did not answer; try again in a moment", status=503)
    name = named.get("backlane_attempt")
    others = {one.id for one in known if one.id != attempt.id}
    lost = attempt.code == RESTORED and named.get("backlane_job") == attempt.job_id and name not in others
    if name != attempt.id and not lost:
        raise NotThisAttempt("That run's metadata does not name this attempt.")
    return status

"""Making the record of a job, in one transaction with its first event, before any provider is called."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import rfc8785

from backlane.core import lifecycle
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Phase, Status
from backlane.core.lane import Lane
from backlane.core.lifecycle import Command
from backlane.core.ports import JobType
from backlane.core.storage import Row, Transaction
from backlane.errors import IdempotencyConflict, InvalidRequest, NotAvailable, RoleRequired
from backlane.service.access import Caller
from backlane.service.choose_lane import Choice, Wanted, choose
from backlane.service.link import files_of, link_files
from backlane.service.outputs import sha256_hex
from backlane.service.ports import Ports
from backlane.service.sample import Draw, controlled, draw_for, keep_draw, keep_waiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What a caller asks for; times are milliseconds since 1970 UTC."""

    type: str
    inputs: Any
    user: str | None = None
    account: str | None = None
    lane: str | None = None
    live: bool | None = None
    window: str | None = None
    useful_until: int | None = None
    deadline: int | None = None
    not_before: int | None = None
    priority: int = 0
    sensitive: bool = False
    max_cost: str | None = None
    group: str | None = None
    metadata: Mapping[str, str] | None = None


# A job is made with the events that it was submitted and that its lane was chosen.
FIRST_EVENTS = 2


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a retried job hands on: its gate is never looser than before, and with the same inputs its draw is kept.

    With `continues` the new job goes on from the old one, in place of standing for it: other words, a draw anew.
    `goes_on_from` is the artifact whose text its model is given.
    """

    retry_of: Job
    continues: bool = False
    draw: Row | None = None
    same_inputs: bool = True
    goes_on_from: str | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A job that is to be made, its stored inputs, its first events, and how its draw went."""

    job: Job
    inputs: str
    first: list[Event]
    draw: Draw | None

    def keep(self, tx: Transaction, ports: Ports, job: Job, more: Sequence[Event] = ()) -> None:
        """Write the job down, as it is then, with all that was decided about it."""
        tx.insert_job(job, self.inputs, [*self.first, *more])
        keep_draw(tx, job, self.draw)
        keep_waiver(tx, job, ports.types.get(job.type))


async def submit(
    ports: Ports, caller: Caller, submission: Submission, *, key: str | None, body_hash: str
) -> tuple[Job, bool]:
    """Make a job, or find the one this idempotency key made; whether it is new.

    Raises InvalidRequest, NotAvailable, RoleRequired, IdempotencyConflict; nothing is stored then.
    """
    if key is not None:
        # A repeated request gets its job even if it could not be made any more: its type may be gone by now.
        known = await ports.store.read(lambda tx: known_job(tx, caller, key, body_hash))
        if known is not None:
            return known, False
    prepared = prepare(ports, caller, submission)
    job = prepared.job
    files = files_of(ports, job, prepared.inputs)

    def body(tx: Transaction) -> tuple[Job, bool]:
        known = None if key is None else known_job(tx, caller, key, body_hash)
        if known is not None:
            return known, False
        prepared.keep(tx, ports, job)
        link_files(tx, caller, job, files)
        if key is not None and not tx.use_key(key_row(caller, key, body_hash, job)):
            raise _TakenMeanwhile
        return job, True

    try:
        made = await ports.store.write(body)
    except _TakenMeanwhile:
        made = await ports.store.write(body)
    ports.point("submitted")
    if made[1]:
        ports.notify()
    return made


class _TakenMeanwhile(Exception):
    """Another request with the same key committed first: take its job instead."""


def key_row(caller: Caller, key: str, body_hash: str, job: Job) -> dict[str, Any]:
    """The row that says what an idempotency key made."""
    return {
        "workspace": caller.workspace,
        "submitted_by": caller.name,
        "key": key,
        "body_hash": body_hash,
        "job_id": job.id,
        "created_at": job.created_at,
    }


def known_job(tx: Transaction, caller: Caller, key: str, body_hash: str) -> Job | None:
    """The job this key made before. Raises IdempotencyConflict if it was for another body."""
    used = tx.used_key(caller.workspace, caller.name, key)
    if used is None:
        return None
    if used[0] != body_hash:
        raise IdempotencyConflict("This Idempotency-Key was used with another body.")
    found = tx.job(used[1])
    assert found is not None
    return found


def prepare(ports: Ports, caller: Caller, submission: Submission, lineage: Lineage | None = None) -> Prepared:
    """The job to be made, and all that belongs to it. Reads and writes nothing."""
    job_type = ports.types.get(submission.type)
    if job_type is None:
        known = ", ".join(ports.types.names()) or "none is loaded"
        raise InvalidRequest([("/type", f"there is no job type {submission.type[:64]!r}; known: {known}")])
    if submission.group is not None:
        raise NotAvailable("Groups are not available in this version.")
    inputs = job_type.read_inputs(submission.inputs)
    now = ports.clock.now()
    times = _times(job_type, submission, now)
    wanted = Wanted(submission.lane, submission.window, _live(job_type, submission))
    choice = choose(ports, caller, job_type, inputs, wanted, times)
    stored = json.dumps(submission.inputs, ensure_ascii=False)
    job = _job(ports, caller, submission, job_type, now, choice=choice)
    same = lineage is not None and lineage.same_inputs and not lineage.continues
    draw = draw_for(ports, job_type, job.id, lineage.draw if lineage else None, same=same)
    former = lineage.retry_of if lineage else None
    job = replace(
        job,
        **times,
        **controlled(job_type, inputs, draw, former=former, asked=submission.sensitive),
        inputs_digest=sha256_hex(stored.encode()),
        retry_of=lineage.retry_of.id if lineage and not lineage.continues else None,
        continues=lineage.retry_of.id if lineage and lineage.continues else None,
    )
    data = {"type": job.type, "lane": job.lane, "retry_of": job.retry_of}
    if job.continues is not None:
        data["continues"] = job.continues
    if lineage is not None and lineage.goes_on_from is not None:
        data["goes_on_from"] = lineage.goes_on_from
    job, submitted = lifecycle.apply(
        job, Command.SUBMIT, now, phase=Phase.READY, actor=caller.name, data=data
    )
    chosen_lane = Event("lane.chosen", now, "backlane", {"lane": job.lane, "reason": choice.reason})
    return Prepared(job, stored, [submitted, chosen_lane], draw)


def _times(job_type: JobType, submission: Submission, now: int) -> dict[str, int | None]:
    faults: list[tuple[str, str]] = []
    useful_until = submission.useful_until
    if useful_until is None:
        useful_until = now + job_type.useful_for
    elif useful_until <= now:
        faults.append(("/useful_until", "is in the past"))
    if submission.deadline is not None and submission.deadline <= now:
        faults.append(("/deadline", "is in the past"))
    if submission.not_before is not None and submission.not_before >= useful_until:
        faults.append(("/not_before", "is after the useful window"))
    if faults:
        raise InvalidRequest(faults)
    wait_until = submission.not_before if submission.not_before and submission.not_before > now else None
    return {
        "useful_until": useful_until,
        "deadline": submission.deadline,
        "wait_until": wait_until,
        "due_at": wait_until or now,
    }


def _live(job_type: JobType, submission: Submission) -> bool:
    """Whether the job's text is streamed."""
    return job_type.live if submission.live is None else submission.live


def lowest_cost(asked: str | None, declared: str | None) -> str | None:
    """The tighter of two cost limits. Raises InvalidRequest for one that is no amount of money."""
    if asked is None:
        return declared
    try:
        amount = Decimal(asked)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0:
        raise InvalidRequest([("/max_cost", 'must be a decimal string above 0, such as "0.50"')])
    if declared is not None and Decimal(declared) < amount:
        return declared
    return asked


def _job(
    ports: Ports,
    caller: Caller,
    submission: Submission,
    job_type: JobType,
    now: int,
    *,
    choice: Choice,
) -> Job:
    user = submission.user
    if user is not None and user != caller.name and caller.kind != "service" and caller.role != "admin":
        raise RoleRequired("Only service keys and admins may submit for another user.")
    return Job(
        **_FRESH,
        id=ports.ids.new("job"),
        workspace=caller.workspace,
        submitted_by=caller.name,
        user=user,
        account=submission.account,
        type=job_type.name,
        type_version=job_type.version,
        authority=job_type.authority,
        phase_since=now,
        due_at=now,
        useful_until=now,
        created_at=now,
        lane=choice.lane,
        window=choice.window,
        provider_account=choice.account.name,
        simulated=choice.account.simulated,
        # Text of the interactive lane always comes as it is written.
        live=_live(job_type, submission) or choice.lane == Lane.INTERACTIVE,
        priority=submission.priority,
        max_cost=lowest_cost(submission.max_cost, job_type.max_cost),
        metadata=dict(submission.metadata or {}),
        lane_reasons=choice.rows,
    )


# What every job begins with; `prepare` fills in what depends on its inputs.
_FRESH: dict[str, Any] = {
    "status": Status.QUEUED, "phase": Phase.READY, "gate": Gate.NONE, "review_state": "not_required",
    "version": 1, "lease_no": 0, "lease_state": "free", "leases_lost": 0, "tries": 0,
    "provider": "openai", "held": False, "summary": "", "inputs_digest": "",
    **dict.fromkeys(
        (
            "provider_response_id", "wait_until", "deadline", "ends_as", "cancel_asked_at", "failure", "started_at",
            "finished_at", "group_id", "retry_of", "retried_as", "continues", "case_id", "archived_at",
        )
    ),
}  # fmt: skip


def body_hash(body: Mapping[str, Any]) -> str:
    """The hash of a request's canonical JSON, by which a repeated request is known."""
    return sha256_hex(rfc8785.dumps(dict(body)))

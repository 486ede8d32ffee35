"""What becomes of a run that has ended: its fact is kept, its cost booked once, its outputs stored, the job led on.

A gated job is never completed here: it stops at needs_review.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from backlane.core import lifecycle
from backlane.core.action import effect_in_doubt
from backlane.core.event import Event
from backlane.core.failure import QUOTA_CODES, RETRIED_RUNS
from backlane.core.job import STREAM_LOST, Attempt, Job, Phase, Status
from backlane.core.lifecycle import TERMINAL, Command
from backlane.core.outcome import INVALID_OUTPUT, Answer
from backlane.core.schedule import retry_delay
from backlane.core.storage import Transaction
from backlane.service.complete import complete_or_review
from backlane.service.conclude import Turn, conclude
from backlane.service.fail import fail, failed
from backlane.service.incident import hold_lane
from backlane.service.judge import is_examined
from backlane.service.keep import answer_of, keep_end
from backlane.service.keep_evidence import Evidence, keep_evidence, keep_unwanted
from backlane.service.late import looked_at_late
from backlane.service.live_text import final, made_good, with_streamed
from backlane.service.note_calls import note_calls
from backlane.service.outputs import add_outputs, citation_outputs, result_outputs, unhappy_outputs
from backlane.service.ports import Ports
from backlane.service.release import open_gate_review
from backlane.service.situate import Held
from backlane.service.take_turns import heard, turns_taken
from backlane.service.use_tools import budget_code


async def finish(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Held | None:
    """Keep a run's end as it came, then lead the job on."""
    turn, hold = await _turn(ports, held, attempt, answer)
    lead_on = looked_at_late(attempt, _once_known(ports, turn or _keep_for_later(attempt, answer)))
    return await conclude(
        ports,
        held,
        lead_on,
        fact=lambda tx: keep_end(tx, ports, held, attempt, answer),
        hold=hold,
    )


async def settle_kept(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
    """Lead on a job whose run's end was kept while nobody could turn it into outputs."""
    body = await ports.store.read(lambda tx: tx.kept_answer(attempt.id))
    if body is None:
        return await failed(ports, held, "result_gone")
    turn, hold = await _turn(ports, held, attempt, answer_of(body))
    assert turn is not None
    return await conclude(ports, held, looked_at_late(attempt, _once_known(ports, turn)), hold=hold)


def _once_known(ports: Ports, turn: Turn) -> Turn:
    """The turn, put off while nobody knows what a remote call did: the answer stays kept until somebody does."""

    def wrapped(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        if job.status not in TERMINAL and effect_in_doubt(tx.actions(job.id)):
            return replace(job, due_at=ports.clock.now()), ()
        return turn(tx, job)

    return wrapped


def _keep_for_later(attempt: Attempt, answer: Answer) -> Turn:
    """The job's type is not loaded: the answer waits for it."""

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        return job, ()

    return turn


async def _turn(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> tuple[Turn | None, bool]:
    """How the job goes on, and whether this worker goes on with it at once."""
    job = held.job
    answer = await with_streamed(ports, job, answer)
    if job.status in TERMINAL or job.phase is Phase.CANCELING:
        found = await keep_unwanted(ports, held, attempt, answer)
        return _after(ports, attempt, found, _end), False
    if answer.status == "completed" and held.type is None:
        return None, True
    if held.situation.messages > 0 and answer.status == "completed" and not (answer.code or answer.waits):
        return await _overtaken(ports, held, attempt, answer), True
    if answer.code == INVALID_OUTPUT:
        return await _invalid(ports, held, attempt, answer), False
    if answer.status != "completed" or answer.code or (answer.refusal and not answer.text):
        return await _unhappy(ports, held, attempt, answer), False
    if answer.waits:
        return await _called(ports, held, attempt, answer), True
    assert held.type is not None
    raw = await ports.store.read(lambda tx: tx.inputs(job.id))
    try:
        value = held.type.read_output(held.type.read_inputs(json.loads(raw)), answer.text)
    except ValueError:
        return await _invalid(ports, held, attempt, answer), False
    found = await keep_evidence(ports, held, attempt, answer)
    outputs = [*await result_outputs(ports, answer, value), *found.outputs]
    goes_on = is_examined(held.type) or held.type.proposes

    def then(tx: Transaction, one: Job, now: int) -> tuple[Job, Sequence[Event]]:
        return _finished(tx, ports, held, one, now)

    return _after(ports, attempt, Evidence(outputs, found.told), then, answer.text), goes_on


async def _overtaken(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Turn:
    """A person has said something that the run did not know: its answer, kept, is what the next turn goes on from."""
    found = await keep_evidence(ports, held, attempt, answer)

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        now = ports.clock.now()
        told = [*found.told, *add_outputs(tx, ports, job, found.outputs, attempt_id=attempt.id, now=now)]
        job, started = as_running(with_response(job, attempt), now, attempt)
        data = {"reason": "message", "attempt": attempt.id}
        after, event = lifecycle.apply(
            job, Command.REQUEUE, now, phase=Phase.READY, actor="backlane", data=data
        )
        return replace(after, due_at=now), [*told, *started, event]

    return turn


async def _called(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Turn:
    """The run waits for answers to its calls: they are written down, and the job goes on with its tools."""
    found = await keep_evidence(ports, held, attempt, answer)
    made, turns = await ports.store.read(
        lambda tx: (len(tx.tool_calls_of(held.job.id)), tx.turns_of(held.job.id))
    )
    code = budget_code(
        held, turns_taken(held.attempts, heard(turns)), made, len(answer.calls) + len(answer.approvals)
    )
    partial = await unhappy_outputs(ports, answer) if code else []

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        now = ports.clock.now()
        outputs = [*partial, *found.outputs]
        told = [*found.told, *add_outputs(tx, ports, job, outputs, attempt_id=attempt.id, now=now)]
        job, started = as_running(with_response(job, attempt), now, attempt)
        if code is not None:
            tx.drop_answer(attempt.id)
            after, event = fail(job, now, code, partial=bool(partial))
            return after, [*told, *started, event]
        after, event = lifecycle.apply(job, Command.PROCEED, now, phase=Phase.TOOL, actor="backlane")
        calls = note_calls(tx, ports, after, attempt, answer)
        return replace(after, due_at=now), [*told, *started, event, *calls]

    return turn


Then = Callable[[Transaction, Job, int], tuple[Job, Sequence[Event]]]


def _after(ports: Ports, attempt: Attempt, kept: Evidence, then: Then, text: str | None = None) -> Turn:
    """Write what is kept, then go on. Followers of a live job are given `text` whole before that."""

    def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
        now = ports.clock.now()
        told = [] if text is None else made_good(tx, job, attempt, text, now)
        told += add_outputs(tx, ports, job, kept.outputs, attempt_id=attempt.id, now=now)
        tx.drop_answer(attempt.id)
        if any(output.kind == "result" for output in kept.outputs):
            told.append(final(job, attempt, text or "", now))
        after, more = then(tx, with_response(job, attempt), now)
        return after, [*told, *kept.told, *more]

    return turn


def with_response(job: Job, attempt: Attempt) -> Job:
    """The job, naming the provider run that its newest attempt became."""
    if attempt.provider_response_id is None:
        return job
    return replace(job, provider_response_id=attempt.provider_response_id)


def _end(tx: Transaction, job: Job, now: int) -> tuple[Job, Sequence[Event]]:
    """Whichever was asked first: canceled or expired. A job that has ended only follows its cost."""
    if job.status in TERMINAL:
        return replace(job, due_at=None), ()
    return end(job, now, job.ends_as or "canceled")


def end(job: Job, now: int, ends_as: str, actor: str = "backlane") -> tuple[Job, Sequence[Event]]:
    """The job, canceled or expired."""
    command = Command.EXPIRE if ends_as == "expired" else Command.CONFIRM_CANCELED
    after, event = lifecycle.apply(job, command, now, actor=actor)
    return replace(after, due_at=None), [event]


def as_running(job: Job, now: int, attempt: Attempt) -> tuple[Job, list[Event]]:
    """The job as running. A run that was over before we saw it start began after our last look at it."""
    if job.status is not Status.QUEUED:
        return job, []
    seen = max(job.phase_since, attempt.looked_at or 0, attempt.accepted_at or 0)
    after, event = lifecycle.apply(
        job,
        Command.START,
        now,
        phase=Phase.MODEL,
        actor="provider",
        data={"inferred": True},
        at=min(seen, now),
    )
    return after, [event]


def _finished(tx: Transaction, ports: Ports, held: Held, job: Job, now: int) -> tuple[Job, Sequence[Event]]:
    assert held.attempt is not None and held.type is not None
    job, told = as_running(job, now, held.attempt)
    if is_examined(held.type):
        job, event = lifecycle.apply(job, Command.PROCEED, now, phase=Phase.CHECK, actor="backlane")
        return replace(job, due_at=now), [*told, event]
    after, more = complete_or_review(tx, ports, held, job, now)
    return after, [*told, *more]


async def _invalid(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Turn:
    """The answer misses the output model: its raw text and evidence are kept, the type chooses review or failure."""
    found = await keep_evidence(ports, held, attempt, answer)
    partial = await unhappy_outputs(ports, answer)
    outputs = [*partial, *await citation_outputs(ports, answer), *found.outputs]
    to_review = held.type is not None and held.type.if_invalid == "review"

    def then(tx: Transaction, job: Job, now: int) -> tuple[Job, Sequence[Event]]:
        job, told = as_running(job, now, attempt)
        if to_review:
            after, more = open_gate_review(tx, ports, held, job, now)
            return after, [*told, *more]
        after, event = fail(job, now, "invalid_output", partial=bool(partial))
        return after, [*told, event]

    return _after(ports, attempt, Evidence(outputs, found.told), then, answer.text)


async def _unhappy(ports: Ports, held: Held, attempt: Attempt, answer: Answer) -> Turn:
    """Failed, incomplete, refused or stopped: retried by schedule where a retry can mend it."""
    found = await keep_evidence(ports, held, attempt, answer)
    outputs = await unhappy_outputs(ports, answer)
    known = (
        await ports.store.read(lambda tx: tx.artifacts(held.job.id)) if attempt.code == STREAM_LOST else []
    )
    # What was streamed of a run that was lost was kept then.
    had = {(row["kind"], row["sha256"]) for row in known if row["attempt_id"] == attempt.id}
    fresh = [one for one in outputs if (one.kind, one.sha256) not in had]
    code = _failure_code(answer)
    # This attempt is already counted: it was accepted.
    again = code in RETRIED_RUNS and held.situation.accepted < held.situation.max_attempts
    delay = retry_delay(held.situation.accepted - 1, ports.timings, None, ports.chance())

    def then(tx: Transaction, job: Job, now: int) -> tuple[Job, Sequence[Event]]:
        if answer.status == "failed" and code in QUOTA_CODES:
            place = attempt.provider_account, attempt.lane
            until = hold_lane(tx, ports, place, code, answer.message or "")
            return _again(job, now, until, Phase.INCIDENT, code)
        if answer.status == "failed" and again:
            return _again(job, now, now + delay, Phase.RETRY, code)
        job, told = as_running(job, now, attempt)
        after, event = fail(job, now, code, detail=_detail(answer), partial=bool(outputs))
        return after, [*told, event]

    kept = Evidence([*fresh, *found.outputs], found.told)
    return _after(ports, attempt, kept, then, answer.text or None)


def _failure_code(answer: Answer) -> str:
    if answer.status == "completed":
        return answer.code or "refusal"
    if answer.status == "canceled":
        return "stopped_at_provider"
    if answer.status == "incomplete":
        return "content_filter" if answer.code == "content_filter" else "incomplete"
    return answer.code or "run_failed"


def _detail(answer: Answer) -> str | None:
    """The provider's own words about its failure; never the model's."""
    return answer.message if answer.status in ("failed", "incomplete") else None


def _again(job: Job, now: int, until: int, phase: Phase, code: str) -> tuple[Job, Sequence[Event]]:
    until = min(until, max(job.useful_until, now))
    command = Command.WAIT if job.status is Status.QUEUED else Command.REQUEUE
    data = {"code": code, "retry_at": until}
    after, event = lifecycle.apply(job, command, now, phase=phase, actor="backlane", data=data)
    return replace(after, wait_until=until, due_at=until), [event]

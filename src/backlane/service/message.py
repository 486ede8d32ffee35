"""What a person says to a job: a running interactive one goes on with it, one that has ended gets a new job.

Nothing is bought here. What was said is stored before the answer; a worker takes it up as the next turn.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from backlane.core.event import Event
from backlane.core.job import Attempt, AttemptState, Job, Phase, newest_of
from backlane.core.lifecycle import TERMINAL
from backlane.core.storage import Row, Transaction
from backlane.service.access import Caller, visible
from backlane.service.ask_again import ask_again
from backlane.service.link import files_of, link_files
from backlane.service.permit import permit
from backlane.service.ports import Ports
from backlane.service.show import artifact_content
from backlane.service.submit import Lineage, key_row, known_job
from backlane.service.take_turns import first_turn, said_so_far, spoken, words_of
from backlane.service.witness import witness

_ANSWERS = ("result", "partial")


async def message(
    ports: Ports, caller: Caller, job_id: str, text: str, *, key: str | None = None, body_hash: str = ""
) -> tuple[Job, bool]:
    """Say something to a job; the job that goes on with it, and whether this call stored what was said.

    An open job is itself the answer, one that has ended a new job that `continues` it. A repeated
    idempotency key says nothing twice. Raises NotFound, RoleRequired, NotAllowed, IdempotencyConflict.
    """
    written = await _written(ports, caller, job_id)

    def body(tx: Transaction) -> tuple[Job, bool] | None:
        known = None if key is None else known_job(tx, caller, key, body_hash)
        if known is not None:
            return known, False
        job = visible(tx, caller, tx.job(job_id, lock=True))
        permit(tx, ports, caller, job, "message")
        if job.status in TERMINAL and written is None:
            return None
        goes_on = _continue(tx, ports, caller, job, text, written) if written is not None else None
        goes_on = goes_on or _say(tx, ports, caller, job, text)
        if key is not None:
            tx.use_key(key_row(caller, key, body_hash, goes_on))
        witness(tx, ports, caller, "job.message", goes_on.id, job=goes_on.id, said_to=job_id)
        return goes_on, True

    said = await ports.store.write(body)
    if said is None:
        # It ended between the two transactions: what it wrote is read now.
        return await message(ports, caller, job_id, text, key=key, body_hash=body_hash)
    ports.notify()
    return said


async def _written(ports: Ports, caller: Caller, job_id: str) -> str | None:
    """What a job that has ended wrote last ("" for nothing); None for one that is open."""

    def body(tx: Transaction) -> tuple[Job, list[Row]]:
        job = visible(tx, caller, tx.job(job_id))
        # An answer that a later turn went on from is in what that turn said already.
        gone_on_from = {turn["previous_attempt"] for turn in tx.turns_of(job_id).values()} - {None}
        return job, [row for row in tx.artifacts(job_id) if row["attempt_id"] not in gone_on_from]

    job, rows = await ports.store.read(body)
    if job.status not in TERMINAL:
        return None
    for kind in _ANSWERS:
        found = [row["id"] for row in rows if row["kind"] == kind]
        if found:
            return (await artifact_content(ports, found[-1])).decode(errors="replace")
    return ""


def _row(ports: Ports, caller: Caller, job: Job, text: str, attempt: Attempt | None, now: int) -> Row:
    return {
        "id": ports.ids.new("msg"),
        "workspace": job.workspace,
        "job_id": job.id,
        "actor": caller.name,
        "text": text,
        "attempt_id": attempt.id if attempt else None,
        "at": now,
    }


def _say(tx: Transaction, ports: Ports, caller: Caller, job: Job, text: str) -> Job:
    """Keep the words for the job's next turn, and have its running one stopped."""
    now = ports.clock.now()
    row = _row(ports, caller, job, text, None, now)
    tx.insert_message(row)
    told = [Event("job.messaged", now, caller.name, {"message": row["id"], "characters": len(text)})]
    if job.phase is Phase.TOOL:
        # The tools of the turn go on; the next turn takes the words up beside their answers.
        tx.keep_events(job.id, told)
        return job
    return tx.save(job, replace(job, due_at=now), told)


def _continue(tx: Transaction, ports: Ports, caller: Caller, old: Job, text: str, written: str) -> Job:
    """A new job that goes on from one that has ended: same inputs, its gate never looser, a fresh window."""
    now = ports.clock.now()
    lineage = Lineage(old, continues=True, draw=tx.draw(old.id))
    prepared = ask_again(ports, caller, lineage, json.loads(tx.inputs(old.id)))
    job = prepared.job
    # Words that the old job never took up come first: its run, which may be gone on from by its id, does not know them.
    words = [*words_of(tx.waiting_messages(old.id)), spoken("user", text)]
    said = {**_former(tx, old, job, written), "items": json.dumps(words, ensure_ascii=False)}
    attempt, turn, planned = first_turn(ports, job, now, said)
    row = _row(ports, caller, job, text, attempt, now)
    told = Event("job.messaged", now, caller.name, {"message": row["id"], "characters": len(text)})
    prepared.keep(tx, ports, job, [told, planned])
    link_files(tx, caller, job, files_of(ports, job, prepared.inputs), carried_from=old.id)
    tx.insert_attempt(attempt)
    tx.insert_turn(turn)
    tx.insert_message(row)
    continued = {"message": row["id"], "continued_as": job.id}
    tx.keep_events(old.id, [Event("job.messaged", now, caller.name, continued)])
    return job


def _former(tx: Transaction, old: Job, job: Job, written: str) -> Row:
    """What the new job's first run goes on from: the old run's id, and all that was said for sending anew."""
    attempts, turns = tx.attempts(old.id), tx.turns_of(old.id)
    last = _last_answered(attempts, tx)
    base = newest_of(attempts)
    prior = [] if base is None else said_so_far(turns, turns.get(base.id))
    prior += [spoken("assistant", written)] if written else []
    # Another account does not have the old one's runs.
    held = last is not None and last.provider_account == job.provider_account
    return {
        "previous_response_id": last.provider_response_id if held and last else None,
        "prior": json.dumps(prior, ensure_ascii=False),
    }


def _last_answered(attempts: Sequence[Attempt], tx: Transaction) -> Attempt | None:
    """The newest run, if the provider can go on from it: completed, and none of its calls waits for an answer.

    A later turn that was stopped or failed carried words that no run before it knows.
    """
    newest = newest_of(attempts)
    if newest is None or newest.state is not AttemptState.COMPLETED or newest.code is not None:
        return None
    return None if tx.tool_states(newest.id) else newest

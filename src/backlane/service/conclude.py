"""Keeping what the outside said, then deciding: facts are written whoever holds the lease, the job is fenced."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from backlane.core.event import Event
from backlane.core.job import Job, newest_of
from backlane.core.storage import Transaction
from backlane.core.stray import is_followed
from backlane.errors import StoreError
from backlane.service.alert import judge_end
from backlane.service.incident import keep_counts
from backlane.service.open_case import follow_up
from backlane.service.ports import Ports
from backlane.service.situate import Held, situate

# Between tries to write a fact down, milliseconds.
_FACT_FIRST, _FACT_MAX = 100, 5_000

Fact = Callable[[Transaction], Sequence[Event]]
Turn = Callable[[Transaction, Job], tuple[Job, Sequence[Event]]]


def no_fact(_: Transaction) -> Sequence[Event]:
    """Nothing from outside has to be kept."""
    return ()


async def conclude(
    ports: Ports, held: Held, turn: Turn, *, fact: Fact = no_fact, hold: bool | Callable[[], bool] = False
) -> Held | None:
    """Write a fact and the job's next state in one transaction.

    The fact is kept in any case. If the job was changed or claimed meanwhile, only the fact is kept,
    the job is woken for whoever decides next, and the answer is None. `hold` keeps the lease: the
    caller goes on at once with the job it is given; otherwise the answer is None too, and the job's
    `due_at` says when to look again. Where only the turn tells, it is asked after that.
    """

    counts = ports.health.take(ports.clock.now())

    def body(tx: Transaction) -> Held | None:
        if counts:
            keep_counts(tx, ports, counts)
        told = list(fact(tx))
        current = tx.job(held.job.id, lock=True)
        assert current is not None, held.job.id
        if current.version != held.job.version or current.lease_no != held.lease_no:
            if told:
                tx.keep_events(current.id, told)
                tx.wake(current.id, ports.clock.now())
            return None
        after, more = turn(tx, current)
        keeps = hold() if callable(hold) else hold
        if keeps:
            # Until it is handed back nobody else may find it due: its lease says when.
            after = replace(after, due_at=current.due_at)
        elif _found_beside(tx, held):
            after = replace(after, due_at=ports.clock.now())
        saved = tx.save(current, after, [*told, *more], lease_no=held.lease_no, release=not keeps)
        if saved.status is not current.status:
            judge_end(tx, ports, saved)
            follow_up(tx, ports, saved)
        return situate(tx, ports, saved) if keeps else None

    try:
        result = await (ports.store.write(body) if fact is no_fact else _kept(ports, held, body))
    except StoreError:
        ports.health.give_back(counts)
        raise
    if result is None or not hold:
        ports.notify()
    return result


def _found_beside(tx: Transaction, held: Held) -> bool:
    """Whether a second run of a held job was found while its stream was read: nobody was woken for it then."""
    if held.attempt is None or not held.attempt.interactive:
        return False
    known = {one.id for one in held.attempts if is_followed(one)}
    rows = tx.attempts(held.job.id)
    newest = newest_of(rows)
    return any(is_followed(one) and one.id not in known for one in rows if one is not newest)


async def _kept(ports: Ports, held: Held, body: Callable[[Transaction], Held | None]) -> Held | None:
    """Write what the outside said, however long the store does not answer: nobody else knows it."""
    pause = _FACT_FIRST
    while True:
        try:
            return await ports.store.write(body)
        except StoreError as error:
            ports.log(f"job {held.job.id}: keeps a fact until it can be written: {error}")
        await ports.clock.sleep(pause)
        pause = min(pause * 2, _FACT_MAX)


def wait_until(job: Job, due_at: int | None) -> Job:
    """The job, to be looked at again then."""
    return replace(job, due_at=due_at)

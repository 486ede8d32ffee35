"""Planted mistakes: each is one thing a tired programmer might do. A quiet harness is no evidence."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import update

from backlane.core import step
from backlane.core.event import Event
from backlane.core.job import Gate, Job, Status
from backlane.core.outcome import Refused, Unknown, When
from backlane.core.situation import Send, Wait
from backlane.core.storage import Transaction
from backlane.provider.calling import Calls
from backlane.service import access, conclude, cost, incident, keep, purchase, settle, situate
from backlane.service.ports import Ports
from backlane.service.situate import Held
from backlane.store import queries
from backlane.store.database import Database
from backlane.store.records import JobRecords
from backlane.store.tables import jobs
from backlane.store.transaction import Records
from tests.world.mistakes_case import MISTAKES_OF_CASES
from tests.world.mistakes_changing import CHANGING_MISTAKES
from tests.world.mistakes_people import PEOPLE_MISTAKES
from tests.world.mistakes_wire import WIRE_MISTAKES
from tests.world.planting import Undo, put, swap


def send_before_commit() -> list[Undo]:
    """The create goes out first, `sending` is written down afterwards."""
    before = purchase.commit_sending

    async def late(ports: Ports, held: Held, attempt: Any, model: Any, *more: Any) -> Any:
        ports.point("sending")
        params = await purchase.build_request(ports, held)
        params["metadata"] = {"backlane_job": held.job.id, "backlane_attempt": attempt.id}
        await ports.provider.create(purchase.CreateCall(attempt.id, attempt.provider_account, params))
        return await before(ports, held, attempt, model, *more)

    return swap(before, late)


def resend_on_a_lost_lease() -> list[Undo]:
    """A create whose sender is silent is simply sent again."""
    before = step._in_flight

    def again(situation: Any, attempt: Any, now: int) -> Any:
        late = now >= (attempt.sent_at or 0) + situation.timings.lease
        return Send(attempt) if late else before(situation, attempt, now)

    return swap(before, again)


def leave_the_retries_of_the_client_on() -> list[Undo]:
    """A call that nobody answered is repeated below our own schedule."""
    before = Calls.call

    async def twice(self: Any, name: str, method: str, path: str, content: bytes | None = None) -> Any:
        reply = await before(self, name, method, path, content)
        return await before(self, name, method, path, content) if isinstance(reply, Unknown) else reply

    return put(Calls, "call", twice)


def count_an_unknown_create_as_refused() -> list[Undo]:
    """No answer is taken for a no."""
    before = purchase.keep_create

    async def sure(ports: Ports, held: Held, attempt: Any, outcome: Any) -> Held | None:
        if isinstance(outcome, Unknown):
            outcome = Refused(When.LATER, outcome.code, outcome.message)
        return await before(ports, held, attempt, outcome)

    return swap(before, sure)


def discard_a_late_provider_id() -> list[Undo]:
    """A worker that lost its lease throws away what it learned."""
    before = conclude.conclude

    async def forgetful(ports: Ports, held: Held, turn: Any, *, fact: Any = None, hold: bool = False) -> Any:
        def current(tx: Transaction) -> Job | None:
            return tx.job(held.job.id)

        now = await ports.store.read(current)
        if now is None or now.version != held.job.version or now.lease_no != held.lease_no:
            return None
        return await before(ports, held, turn, fact=fact or conclude.no_fact, hold=hold)

    return swap(before, forgetful)


def skip_the_version_check() -> list[Undo]:
    """Whoever writes last is right."""
    bare = update(jobs).where(jobs.c.id == queries.bindparam("at_id"))
    before = JobRecords.save

    def save(
        self: Any, before_: Job, after: Job, events: Any, *, lease_no: Any = None, release: Any = True
    ) -> Job:
        return before(self, before_, after, events, lease_no=None, release=release)

    async def blind(ports: Ports, held: Held, turn: Any, *, fact: Any = None, hold: bool = False) -> Any:
        def body(tx: Transaction) -> Held:
            told = list(fact(tx)) if fact else []
            after, more = turn(tx, held.job)
            saved = tx.save(held.job, after, [*told, *more], lease_no=held.lease_no, release=not hold)
            return situate.situate(tx, ports, saved)

        result = await ports.store.write(body)
        ports.notify()
        return result

    undo = put(queries, "SAVE_JOB", bare) + put(queries, "SAVE_LEASED_JOB", bare)
    return undo + put(JobRecords, "save", save) + swap(conclude.conclude, blind)


def forget_the_idempotency_key() -> list[Undo]:
    """The key is not written down with the job."""
    return put(Records, "use_key", lambda self, row: True)


def settle_twice() -> list[Undo]:
    """The cost of a run is booked again each time somebody sees its end."""
    before = keep.keep_end

    def again(tx: Any, ports: Ports, held: Held, attempt: Any, answer: Any) -> Sequence[Event]:
        told = list(before(tx, ports, held, attempt, answer))
        data = {"attempt": attempt.id, "amount": None, "currency": "USD", "basis": "again"}
        late = not any(event.type == "cost.settled" for event in told)
        return [*told, Event("cost.settled", ports.clock.now(), "backlane", data)] if late else told

    return swap(before, again)


def forget_the_cost_of_ended_jobs() -> list[Undo]:
    """A job that was canceled or has expired books nothing."""
    before = keep.book_cost

    def unless(tx: Any, ports: Ports, job: Job, attempt: Any, answer: Any) -> list[Event]:
        return [] if job.phase is None or job.ends_as else before(tx, ports, job, attempt, answer)

    return swap(before, unless)


def forget_the_workspace_in_a_query() -> list[Undo]:
    """A job is found by its id alone."""

    def anybody(tx: Transaction, caller: Any, job: Job | None) -> Job:
        if job is None:
            raise access.NotFound
        return job

    return swap(access.visible, anybody)


def answer_before_commit() -> list[Undo]:
    """The caller hears yes while the transaction is still open; it is written a moment later."""
    before = Database.write

    async def early(self: Any, body: Any) -> Any:
        import asyncio

        loop: Any = asyncio.get_running_loop()
        answer: Any = None

        def tried(connection: Any) -> None:
            nonlocal answer
            answer = body(connection)
            raise _NotYet

        with contextlib.suppress(_NotYet):
            self.write_now(tried)
        if not (isinstance(answer, tuple) and isinstance(answer[0], Job)):
            return await before(self, body)

        async def later() -> None:
            await asyncio.sleep(1)
            if not self._closed:
                self.write_now(body)

        self._late = loop.create_task(later())
        return answer

    return put(Database, "write", early)


class _NotYet(Exception):
    pass


def status_without_event() -> list[Undo]:
    """A change of phase is written without its event."""
    before = JobRecords._append

    def silent(self: Any, workspace: str, job_id: Any, seq: Any, chain: str, told: Any) -> None:
        kept = [event for event in told if event.type != "job.phase_changed"]
        before(self, workspace, job_id, seq, chain, kept)

    return put(JobRecords, "_append", silent)


def claim_without_an_end() -> list[Undo]:
    """A lease never ends: who dies with a job keeps it."""
    before = JobRecords.claim

    def forever(self: Any, ids: Any, now: int, until: int) -> Any:
        return before(self, ids, now, until + 10 * 365 * 86_400_000)

    return put(JobRecords, "claim", forever)


def rebuy_without_a_limit() -> list[Undo]:
    """A type that may buy an unknown run once more does so each time."""
    before = step._unknown

    def each_time(situation: Any, attempt: Any, now: int) -> Any:
        return before(replace(situation, rebought=False), attempt, now)

    return swap(before, each_time)


def complete_without_the_review() -> list[Undo]:
    """A gate that was decided at submit is forgotten at the end."""
    before = settle.complete_or_review

    def through(tx: Any, ports: Ports, held: Held, job: Job, now: int) -> Any:
        after, told = before(tx, ports, held, replace(job, gate=Gate.NONE), now)
        return replace(after, gate=job.gate), told

    return swap(before, through)


def late_news_reopens_a_job() -> list[Undo]:
    """A run that completes after its job was canceled makes the job completed."""
    before = settle._end

    def reopen(tx: Any, job: Job, now: int) -> Any:
        after, told = before(tx, job, now)
        return replace(after, status=Status.COMPLETED), told

    return swap(before, reopen)


def follow_no_ended_job() -> list[Undo]:
    """What still runs for a job that has ended is left to itself."""
    return swap(step._after_the_end, lambda situation, now: Wait(None))


def give_up_a_silent_sender_too_soon() -> list[Undo]:
    """A create in flight is called refused, and bought anew, when its job is claimed by another."""
    before = purchase.mark_unknown

    async def refused(ports: Ports, held: Held, attempt: Any, code: str) -> Held | None:
        if code == "worker_lost":
            return await purchase._not_sent(ports, held, attempt, purchase.NotSent(code))
        return await before(ports, held, attempt, code)

    return swap(before, refused)


def everybody_tries_a_held_lane() -> list[Undo]:
    """Who waits for a held lane comes back at its next try, and all of them are sent."""
    return swap(incident.passage, lambda tx, ports, job, now, *more: incident.Passage(True))


def price_a_simulated_run_as_a_real_one() -> list[Undo]:
    """The mark of the account is forgotten where money is booked."""
    before = cost._book

    def unmarked(tx: Any, ports: Ports, job: Job, attempt: Any, amount: Any, basis: str) -> list[Event]:
        return before(tx, ports, replace(job, simulated=False), attempt, amount, basis)

    return swap(before, unmarked)


def sync_less() -> list[Undo]:
    """NORMAL instead of FULL: the last commits may not be on the platter."""
    return []


_BY_DOOR = {**WIRE_MISTAKES, **PEOPLE_MISTAKES, **CHANGING_MISTAKES}
MISTAKES: dict[str, Callable[[], list[Undo]]] = {
    made.__name__: made
    for made in (
        send_before_commit,
        resend_on_a_lost_lease,
        leave_the_retries_of_the_client_on,
        count_an_unknown_create_as_refused,
        give_up_a_silent_sender_too_soon,
        discard_a_late_provider_id,
        skip_the_version_check,
        forget_the_idempotency_key,
        settle_twice,
        forget_the_cost_of_ended_jobs,
        forget_the_workspace_in_a_query,
        answer_before_commit,
        sync_less,
        status_without_event,
        claim_without_an_end,
        rebuy_without_a_limit,
        complete_without_the_review,
        late_news_reopens_a_job,
        follow_no_ended_job,
        everybody_tries_a_held_lane,
        price_a_simulated_run_as_a_real_one,
        *MISTAKES_OF_CASES,
        *(made for several in _BY_DOOR.values() for made in several),
    )
}
_DOORS = {made.__name__: door for door, several in _BY_DOOR.items() for made in several}


@contextlib.contextmanager
def planted(name: str | None) -> Generator[dict[str, Any]]:
    """The product with this mistake in it; what the world must be told."""
    undo = MISTAKES[name]() if name else []
    try:
        changes = {"door": _DOORS.get(name or "", "plain")} if name else {}
        yield {**changes, "unsafe_sync": True} if name == "sync_less" else changes
    finally:
        for one in reversed(undo):
            one()

"""After a backup was restored: what may have been bought since is asked about, and never bought again.

The database cannot know what happened after its backup was made. An operator declares the restore; from
then on a job whose next run may already have been bought waits for a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from backlane.core import lifecycle
from backlane.core.action import UNSENT, ActionState, current
from backlane.core.event import Event
from backlane.core.job import RESTORED, AttemptReason, AttemptState, Job, Phase, Status, newest_of
from backlane.core.lifecycle import OPEN, TERMINAL, Command
from backlane.core.storage import Search, Transaction
from backlane.errors import StoreLocked
from backlane.service.intent import intent
from backlane.service.keep_effect import unknown
from backlane.service.ports import Ports
from backlane.service.release import close_open_review, open_unknown_review
from backlane.service.take_turns import keep_turn

AUDITED_AS = "store.restored"
_PAGE = 200
# The answer of these is known, or is brought by looking at a run whose id is known.
_BOUGHT = (AttemptState.ACCEPTED, AttemptState.COMPLETED)
_MAYBE_SENT = (AttemptState.PLANNED, AttemptState.SENDING, AttemptState.UNKNOWN)


@dataclass(slots=True)
class Restored:
    """What a declared restore found: jobs it asks about, ones that waited already, ones it follows."""

    asked: int = 0
    waiting: int = 0
    followed: int = 0


async def declare_restored(ports: Ports, actor: str) -> Restored:
    """Let every open job without an accepted attempt wait at `submission_unknown`. Doing it twice adds nothing.

    Jobs being canceled go on being canceled: they buy nothing. Raises StoreLocked while a worker is at work.
    """
    if await ports.store.read(lambda tx: tx.leases(ports.clock.now())):
        raise StoreLocked("a worker holds jobs of this database; stop it, wait until its leases end (90 s)")
    whole = Restored()
    for place in await ports.store.read(lambda tx: tx.workspaces()):
        found = Restored()
        after: tuple[int, str] | None = None
        while True:
            page = await ports.store.write(
                lambda tx, place=place, found=found, after=after: _page(tx, ports, place["id"], found, after)
            )
            if page is None:
                break
            after = page
        line = {"workspace": place["id"], "at": ports.clock.now(), "actor": actor, "action": AUDITED_AS}
        data = {"asked": found.asked, "waiting": found.waiting, "followed": found.followed}
        line |= {"subject": place["id"], "data": data}
        await ports.store.write(lambda tx, line=line: tx.audit(line))
        whole.asked += found.asked
        whole.waiting += found.waiting
        whole.followed += found.followed
    return whole


def _page(
    tx: Transaction, ports: Ports, workspace: str, found: Restored, after: tuple[int, str] | None
) -> tuple[int, str] | None:
    """One page of open jobs; where the next one begins, None after the last."""
    statuses = tuple(sorted(OPEN))
    search = Search(
        workspace=workspace, statuses=statuses, archived=None, oldest_first=True, after=after, limit=_PAGE
    )
    page = tx.search(search)
    for job in page:
        _one(tx, ports, job, found)
    return (page[-1].created_at, page[-1].id) if page else None


def _one(tx: Transaction, ports: Ports, job: Job, found: Restored) -> None:
    if _doubt_actions(tx, ports, job):
        found.asked += 1
        return
    attempts = tx.attempts(job.id)
    newest = newest_of(attempts)
    if newest is not None and newest.state in _BOUGHT:
        # If this run failed, or waits for answers, a further one may have been bought after the backup.
        tx.move_attempt(newest.id, _BOUGHT, sender=RESTORED)
        found.followed += 1
    elif job.phase is Phase.SUBMISSION_UNKNOWN:
        if newest is not None:
            tx.move_attempt(newest.id, [AttemptState.UNKNOWN], code=RESTORED)
        found.waiting += 1
    elif job.phase is not Phase.CANCELING and job.status is not Status.NEEDS_REVIEW:
        after, told = doubt(tx, ports, job, ports.clock.now())
        tx.save(job, after, told)
        found.asked += 1


def _doubt_actions(tx: Transaction, ports: Ports, job: Job) -> bool:
    """An action that waited may have been approved and carried out after the backup: somebody must find out.

    Its key is the one it had then, so a lookup finds it.
    """
    now = ports.clock.now()
    doubtful = current(tx.actions(job.id))
    if doubtful is None or job.status in TERMINAL:
        return False
    for attempt in tx.attempts(job.id):
        tx.move_attempt(attempt.id, _BOUGHT, sender=RESTORED)
    lost = {"state": ActionState.UNKNOWN, "code": RESTORED, "unknown_at": now, "look_at": now}
    tx.move_action(doubtful.id, sorted(UNSENT), dispatched_at=now, **lost)
    told = unknown(tx, ports, doubtful, RESTORED)
    job, closed = close_open_review(tx, job, now, "expired")
    after, event = _as_acting(job, now)
    data = {"action": doubtful.id, "number": doubtful.number, "code": RESTORED}
    told = told or [Event("action.unknown", now, "backlane", data)]
    tx.save(_current(tx, job), replace(after, due_at=now), [*told, *closed, *event])
    return True


def _as_acting(job: Job, now: int) -> tuple[Job, list[Event]]:
    """The job at its action, whatever it waited for."""
    if job.status is Status.RUNNING and job.phase is Phase.ACTION:
        return job, []
    commands = {
        Status.QUEUED: Command.START,
        Status.RUNNING: Command.PROCEED,
        Status.NEEDS_REVIEW: Command.ACT,
    }
    after, event = lifecycle.apply(job, commands[job.status], now, phase=Phase.ACTION, actor="backlane")
    return after, [event]


def _current(tx: Transaction, job: Job) -> Job:
    found = tx.job(job.id, lock=True)
    assert found is not None
    return found


def doubt(tx: Transaction, ports: Ports, job: Job, now: int) -> tuple[Job, Sequence[Event]]:
    """Ask a person about the run that may have been bought after the backup was made.

    It stands as an attempt in state `unknown`: the planned one, or one more in place of what was lost.
    """
    attempts = tx.attempts(job.id)
    newest = newest_of(attempts)
    if newest is not None and newest.state in _MAYBE_SENT:
        doubtful = newest
        since = newest.unknown_at or now
        tx.move_attempt(newest.id, _MAYBE_SENT, state=AttemptState.UNKNOWN, code=RESTORED, unknown_at=since)
    else:
        reason = AttemptReason.FIRST if newest is None else AttemptReason.PERSON
        if newest is not None and newest.state is AttemptState.COMPLETED:
            reason = AttemptReason.NEXT_TURN
        lost = intent(ports, job, len(attempts) + 1, reason, now)
        doubtful = replace(lost, state=AttemptState.UNKNOWN, unknown_at=now, code=RESTORED)
        tx.insert_attempt(doubtful)
        keep_turn(tx, newest, doubtful, now)
    told = Event("attempt.unknown", now, "backlane", {"attempt": doubtful.id, "code": RESTORED})
    after, asked = open_unknown_review(tx, ports, doubtful, job, now)
    return replace(after, wait_until=None), [told, *asked]

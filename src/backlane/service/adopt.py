"""A run that was found by its own metadata joins the attempt it names. Nothing is believed but a retrieve.

Runs inside a transaction; the job is only woken: whoever carries it decides what follows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from backlane.core.event import Event
from backlane.core.job import RESTORED, Attempt, AttemptReason, AttemptState, newest_of
from backlane.core.storage import Transaction
from backlane.service.accept import keep_accepted
from backlane.service.alert import second_purchase
from backlane.service.intent import intent
from backlane.service.ports import Ports

_MAYBE_BOUGHT = (AttemptState.PLANNED, AttemptState.SENDING, AttemptState.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Found:
    """A run of an account as a retrieve showed it."""

    account: str
    response_id: str
    status: str


def look_now(tx: Transaction, attempt: Attempt, now: int) -> str:
    """Something may have happened to a run we wait for: it is looked at at once. What was done, in words."""
    # A run called canceled whose last word was had: there is one more.
    more = attempt.state is AttemptState.CANCELED and attempt.look_at is None
    if attempt.state is not AttemptState.ACCEPTED and not more:
        return "nobody waited for it"
    job = tx.job(attempt.job_id)
    if attempt.stream_state == "open" and job is not None and job.lease_state != "free":
        # Whoever reads its stream sees the end there; to be woken would only tear it off.
        return "it is followed live"
    tx.move_attempt(attempt.id, [attempt.state], look_at=now)
    tx.wake(attempt.job_id, now)
    return "looked at"


def named_by(tx: Transaction, account: str, metadata: Mapping[str, str]) -> Attempt | None:
    """The attempt of this account that a run's metadata names.

    After a restore its own row may be lost; then the job's attempt that stands in its place.
    """
    attempt = tx.attempt(metadata.get("backlane_attempt", ""))
    if attempt is None:
        of_job = tx.attempts(metadata.get("backlane_job", ""))
        attempt = next((one for one in reversed(of_job) if one.code == RESTORED), None)
    return attempt if attempt is not None and attempt.provider_account == account else None


def adopt(tx: Transaction, ports: Ports, attempt_id: str, found: Found) -> str | None:
    """Let the named attempt have the run. What was done, in words; None while its sender may still bring it."""
    named = tx.attempt(attempt_id)
    assert named is not None, attempt_id
    # From here on nobody else changes the job: of two events about one run, the second finds the first's work.
    tx.job(named.job_id, lock=True)
    known = tx.attempt_of_response(found.account, found.response_id)
    if known is not None:
        return look_now(tx, known, ports.clock.now())
    attempt = tx.attempt(attempt_id)
    assert attempt is not None, attempt_id
    if attempt.provider_response_id is not None or attempt.state not in _MAYBE_BOUGHT:
        return _second(tx, ports, attempt, found)
    if attempt.state is AttemptState.SENDING and not _sender_gone(ports, attempt):
        return None
    return _adopted(tx, ports, attempt, found)


def _sender_gone(ports: Ports, attempt: Attempt) -> bool:
    until = (attempt.sent_at or attempt.planned_at) + ports.timings.call_timeout * 2
    return ports.worker.is_gone(attempt.sender) or ports.clock.now() >= until


def _adopted(tx: Transaction, ports: Ports, attempt: Attempt, found: Found) -> str:
    now = ports.clock.now()
    # Only an undeclared restore leaves a sent attempt as planned; it must not be sent again.
    tx.move_attempt(
        attempt.id, [AttemptState.PLANNED], state=AttemptState.UNKNOWN, code=RESTORED, unknown_at=now
    )
    told = keep_accepted(tx, attempt.id, found.response_id, found.status, now, look_at=now)
    tx.keep_events(attempt.job_id, told)
    _wake(tx, attempt.job_id, now)
    newest = newest_of(tx.attempts(attempt.job_id))
    if newest is None or newest.id == attempt.id:
        return "adopted"
    _alert(tx, ports, attempt)
    return "adopted after it was bought again"


def _second(tx: Transaction, ports: Ports, attempt: Attempt, found: Found) -> str:
    """The named attempt has another run, or was proven not bought: this one is canceled, booked and reported."""
    now = ports.clock.now()
    job = tx.job(attempt.job_id)
    assert job is not None, attempt.job_id
    number = max(one.number for one in tx.attempts(job.id)) + 1
    stray = replace(
        intent(ports, job, number, AttemptReason.REBUY, now),
        state=AttemptState.ACCEPTED,
        stray=True,
        lane=attempt.lane,
        window=attempt.window,
        provider_account=attempt.provider_account,
        provider_response_id=found.response_id,
        provider_status=found.status,
        model=attempt.model,
        sent_at=attempt.sent_at,
        accepted_at=now,
        look_at=now,
        code="second_purchase",
    )
    tx.insert_attempt(stray)
    data = {"attempt": stray.id, "number": number, "reason": stray.reason, "code": stray.code}
    data |= {"provider_response_id": found.response_id, "status": found.status}
    tx.keep_events(job.id, [Event("attempt.adopted", now, "provider", data)])
    _wake(tx, job.id, now)
    _alert(tx, ports, attempt)
    return "a second purchase"


def _wake(tx: Transaction, job_id: str, now: int) -> None:
    """Have the job carried on, unless that would tear off a run that only its holder can read.

    What was found stands on its own row: the holder sees it once its stream has ended.
    """
    job, newest = tx.job(job_id), newest_of(tx.attempts(job_id))
    assert job is not None, job_id
    held = newest is not None and newest.interactive and newest.state is AttemptState.ACCEPTED
    if not (held and newest and newest.stream_state == "open" and job.lease_state != "free"):
        tx.wake(job_id, now)


def _alert(tx: Transaction, ports: Ports, attempt: Attempt) -> None:
    job = tx.job(attempt.job_id)
    assert job is not None, attempt.job_id
    second_purchase(tx, ports, job)

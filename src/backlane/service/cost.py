"""What an attempt cost, booked once, whatever became of its job. Unknown stays unpriced, never zero."""

from decimal import Decimal

from backlane.core.event import Event
from backlane.core.job import Attempt, Job
from backlane.core.outcome import Answer
from backlane.core.storage import Transaction
from backlane.service.ports import Ports
from backlane.service.reserve import settle_reserved


def book_cost(tx: Transaction, ports: Ports, job: Job, attempt: Attempt, answer: Answer) -> list[Event]:
    """Book what the provider's usage says; the event that tells of it, once."""
    amount, basis = ports.price(answer, attempt.accepted_at or ports.clock.now(), attempt.window)
    parts = ", ".join(answer.unpriced) if amount is not None else ""
    return _book(
        tx, ports, job, attempt, amount, f"{basis}; without {parts}" if parts else basis, parts=parts
    )


def book_unpriced(tx: Transaction, ports: Ports, job: Job, attempt: Attempt, why: str) -> list[Event]:
    """Book that the run may have cost money, and that nobody can say how much."""
    return _book(tx, ports, job, attempt, None, f"unpriced: {why}")


def _book(
    tx: Transaction,
    ports: Ports,
    job: Job,
    attempt: Attempt,
    amount: Decimal | None,
    basis: str,
    *,
    parts: str = "",
) -> list[Event]:
    now = ports.clock.now()
    line = {
        "attempt_id": attempt.id,
        "workspace": job.workspace,
        "job_id": job.id,
        "type": job.type,
        "amount": None if amount is None else format(amount, "f"),
        "currency": "USD",
        "basis": basis,
        "simulated": job.simulated,
        "booked_at": now,
        "unpriced_parts": parts[:200] or None,
    }
    if not tx.keep_cost(line):
        return []
    settle_reserved(tx, ports, job, attempt, amount)
    data = {"attempt": attempt.id, "amount": line["amount"], "currency": "USD", "basis": basis}
    return [Event("cost.settled", now, "backlane", data)]

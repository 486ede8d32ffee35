"""The audit line of what a person does: who, from the credential alone, and where the job's chain stood then."""

from typing import Any

from backlane.core.storage import Transaction
from backlane.service.access import Caller
from backlane.service.ports import Ports


def witness(
    tx: Transaction,
    ports: Ports,
    caller: Caller,
    action: str,
    subject: str,
    *,
    job: str | None = None,
    **data: Any,
) -> None:
    """Write one line. With `job`, the head of that job's chain goes in, so that the audit log vouches for it too.

    Call it last in a transaction: it waits for others who write to the same log.
    """
    known = {"role": caller.role, "key": caller.key_id, **data}
    if job is not None:
        seq, chain = tx.chain_head(job)
        known |= {"job": job, "event_seq": seq, "event_chain": chain}
    line = {"workspace": caller.workspace, "at": ports.clock.now(), "actor": caller.name, "action": action}
    tx.audit({**line, "subject": subject[:200], "data": known})

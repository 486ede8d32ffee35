"""Reading the checker's evidence out of a database and its artifacts. It changes nothing."""

import hashlib
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, select

from backlane.errors import StoreError
from backlane.service.restore import AUDITED_AS
from backlane.store.database import Database
from backlane.store.people import audit, keys, principals
from backlane.store.tables import (
    artifacts,
    attempts,
    cost_lines,
    events,
    idempotency_keys,
    job_inputs,
    jobs,
    reviews,
)
from backlane.store.tables_actions import actions, dispatches
from backlane.store.tables_budgets import budgets, reservations
from backlane.store.tables_case import cases, notes
from backlane.store.tables_policy import policy_draws, policy_verdicts, policy_versions
from backlane.store.tables_review import decisions, escalations
from backlane.store.tables_wire import inbox, job_files, messages, provider_files, tool_calls, turns, uploads
from backlane.verify.evidence import Evidence, Row

# The tables that are read as they lie there, by their name in the evidence.
_TABLES = {
    "jobs": jobs,
    "attempts": attempts,
    "events": events,
    "artifacts": artifacts,
    "cost_lines": cost_lines,
    "reviews": reviews,
    "idempotency_keys": idempotency_keys,
    "inbox": inbox,
    "turns": turns,
    "messages": messages,
    "tool_calls": tool_calls,
    "uploads": uploads,
    "job_files": job_files,
    "provider_files": provider_files,
    "audit": audit,
    "cases": cases,
    "notes": notes,
    "actions": actions,
    "dispatches": dispatches,
    "decisions": decisions,
    "escalations": escalations,
    "draws": policy_draws,
    "verdicts": policy_verdicts,
    "policy_versions": policy_versions,
    "budgets": budgets,
    "reservations": reservations,
}
# Who held which role when; never a secret, nor its hash.
_KEYS = select(
    keys.c.id,
    keys.c.workspace,
    keys.c.role,
    keys.c.created_at,
    keys.c.revoked_at,
    keys.c.expires_at,
    keys.c.may_decide,
    principals.c.name,
    principals.c.kind,
).join(principals, principals.c.id == keys.c.principal_id)


def collect(
    database: Database, read_artifact: Callable[[str], bytes] | None = None, **histories: Any
) -> Evidence:
    """The evidence of one database, one snapshot; `read_artifact` reads stored bytes by sha256.

    `histories` are the further fields of Evidence.
    """

    restores = select(func.max(audit.c.at)).where(audit.c.action == AUDITED_AS)

    def body(connection: Connection) -> dict[str, Any]:
        def rows(table: Any) -> list[Row]:
            return [dict(row) for row in connection.execute(select(table)).mappings()]

        return {
            **{name: rows(table) for name, table in _TABLES.items()},
            "inputs": {row["job_id"]: row["body"] for row in rows(job_inputs)},
            "keys": [dict(row) for row in connection.execute(_KEYS).mappings()],
            "restored_at": connection.execute(restores).scalar(),
        }

    found = database.read_now(body)
    broken = None
    if read_artifact is not None:
        stored = [*found["artifacts"], *found["uploads"]]
        broken = [row["id"] for row in stored if not _whole(row, read_artifact)]
    return Evidence(**found, broken_artifacts=broken, **histories)


def _whole(row: Row, read_artifact: Callable[[str], bytes]) -> bool:
    try:
        content = row["inline"] if row["inline"] is not None else read_artifact(row["sha256"])
    except StoreError:
        return False
    return hashlib.sha256(content).hexdigest() == row["sha256"]

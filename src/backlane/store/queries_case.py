"""The statements about cases, notes and the audit log, each named and described."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, select, update

from backlane.store.people import audit, keys, principals
from backlane.store.searching import in_sight
from backlane.store.tables import jobs
from backlane.store.tables_case import cases, notes

# One case.
CASE = select(cases).where(cases.c.id == bindparam("case_id"))
# The open case of a job.
OPEN_CASE = select(cases).where(cases.c.job_id == bindparam("job_id"), cases.c.state == "open")
# Change a case.
CHANGE_CASE = update(cases).where(cases.c.id == bindparam("at_id"))
# What people noted about a job, oldest first.
NOTES = select(notes).where(notes.c.job_id == bindparam("job_id")).order_by(notes.c.at, notes.c.id)
# Whose key it is.
KEY_BY_ID = (
    select(keys.c.id, keys.c.workspace, keys.c.role, keys.c.revoked_at, principals.c.name, principals.c.kind)
    .join(principals, principals.c.id == keys.c.principal_id)
    .where(keys.c.id == bindparam("key_id"))
)

_CASE_FILTERS = {
    "state": cases.c.state,
    "owner": cases.c.owner,
    "job": cases.c.job_id,
    "cause": cases.c.cause,
}
_AUDIT_FILTERS = {"actor": audit.c.actor, "action": audit.c.action, "subject": audit.c.subject}


def case_search(
    workspace: str,
    filters: Mapping[str, str],
    sight: tuple[str, str | None] | None,
    before: str | None,
    limit: int,
) -> Select[Any]:
    """The page of cases that filters ask for, the newest first, of the jobs within sight; None sees all."""
    where: list[ColumnElement[bool]] = [cases.c.workspace == workspace]
    where += [_CASE_FILTERS[name] == value for name, value in filters.items()]
    found = select(cases)
    if sight is not None:
        found = found.join(jobs, jobs.c.id == cases.c.job_id)
        where.append(in_sight(*sight))
    if before is not None:
        where.append(cases.c.id < before)
    return found.where(*where).order_by(cases.c.id.desc()).limit(limit)


def audit_search(workspace: str, filters: Mapping[str, str], after: int, limit: int) -> Select[Any]:
    """The audit lines after a number, in order."""
    where: list[ColumnElement[bool]] = [audit.c.workspace == workspace, audit.c.seq > after]
    where += [_AUDIT_FILTERS[name] == value for name, value in filters.items()]
    return select(audit).where(*where).order_by(audit.c.seq).limit(limit)

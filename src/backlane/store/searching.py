"""Finding jobs and reviews: filters become bound parameters over allow-listed columns, never text."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, or_, select

from backlane.core.storage import Search
from backlane.store.tables import attempts, jobs, reviews
from backlane.store.tables_review import escalations

# How a type's newest jobs ended, the last one first.
NEWEST_ENDS = (
    select(jobs.c.status, jobs.c.failure)
    .where(
        jobs.c.workspace == bindparam("workspace"),
        jobs.c.type == bindparam("type_name"),
        jobs.c.finished_at.is_not(None),
    )
    .order_by(jobs.c.finished_at.desc())
    .limit(bindparam("n"))
)


def _like(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def _matches(text: str) -> ColumnElement[bool]:
    """Ids, provider ids, users, summaries: what a support person has in hand."""
    told = exists().where(attempts.c.job_id == jobs.c.id, attempts.c.provider_response_id == text)
    return or_(
        jobs.c.id == text,
        jobs.c.provider_response_id == text,
        told,
        jobs.c.user == text,
        jobs.c.account == text,
        jobs.c.submitted_by == text,
        jobs.c.summary.ilike(_like(text), escape="\\"),
        jobs.c.user.ilike(_like(text), escape="\\"),
    )


def in_sight(submitted_by: str, reviewed_by: str | None) -> ColumnElement[bool]:
    """Jobs of one's own, and with a role such as are or were under review for it, also if handed on since."""
    own = jobs.c.submitted_by == submitted_by
    if reviewed_by is None:
        return own
    reviewed = exists().where(reviews.c.job_id == jobs.c.id, reviews.c.role == reviewed_by)
    handed = exists().where(escalations.c.job_id == jobs.c.id, escalations.c.from_role == reviewed_by)
    return or_(own, reviewed, handed)


def job_search(search: Search) -> Select[Any]:
    """The page of jobs a search asks for. The workspace is always part of it."""
    where: list[ColumnElement[bool]] = [jobs.c.workspace == search.workspace]
    if search.submitted_by is not None:
        where.append(in_sight(search.submitted_by, search.reviewed_by))
    equal = {
        jobs.c.type: search.type,
        jobs.c.user: search.user,
        jobs.c.account: search.account,
        jobs.c.lane: search.lane,
        jobs.c.phase: search.phase,
        jobs.c.group_id: search.group,
    }
    where += [column == value for column, value in equal.items() if value is not None]
    if search.ids is not None:
        where.append(or_(jobs.c.id.in_(search.ids), jobs.c.retry_of.in_(search.ids)))
    if search.statuses:
        where.append(jobs.c.status.in_(search.statuses))
    if search.archived is not None:
        where.append(jobs.c.archived_at.is_not(None) if search.archived else jobs.c.archived_at.is_(None))
    if search.created_after is not None:
        where.append(jobs.c.created_at > search.created_after)
    if search.text:
        where.append(_matches(search.text))
    at, job_id = jobs.c.created_at, jobs.c.id
    if search.after is not None:
        when, last = search.after
        later = or_(at > when, and_(at == when, job_id > last))
        earlier = or_(at < when, and_(at == when, job_id < last))
        where.append(later if search.oldest_first else earlier)
    order = (at, job_id) if search.oldest_first else (at.desc(), job_id.desc())
    return select(jobs).where(*where).order_by(*order).limit(search.limit)


_REVIEW_FILTERS = {
    "state": reviews.c.state,
    "kind": reviews.c.kind,
    "role": reviews.c.role,
    "job": reviews.c.job_id,
    "claimed_by": reviews.c.claimed_by,
}


def review_search(workspace: str, filters: Mapping[str, str], after: str | None, limit: int) -> Select[Any]:
    """The page of reviews that filters ask for, oldest first."""
    where: list[ColumnElement[bool]] = [reviews.c.workspace == workspace]
    where += [_REVIEW_FILTERS[name] == value for name, value in filters.items()]
    if after is not None:
        where.append(reviews.c.id > after)
    return select(reviews).where(*where).order_by(reviews.c.id).limit(limit)

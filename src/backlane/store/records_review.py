"""A transaction's named reads and guarded writes over reviews, decisions and escalations."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert

from backlane.core.review import STAYS
from backlane.core.storage import Row
from backlane.store import queries_review as queries
from backlane.store.records import JobRecords, setting
from backlane.store.searching import review_search
from backlane.store.tables import reviews
from backlane.store.tables_review import decisions, escalations


class ReviewRecords(JobRecords):
    """The part of a transaction that is about reviews."""

    def insert_review(self, review: Mapping[str, Any]) -> None:
        self._connection.execute(insert(reviews), dict(review))

    def open_review(self, job_id: str) -> Row | None:
        return self._one(queries.OPEN_REVIEW, job_id=job_id)

    def reviews_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.REVIEWS_OF, job_ids)

    def review(self, review_id: str) -> Row | None:
        return self._one(queries.REVIEW, review_id=review_id)

    def reviews(self, workspace: str, filters: Mapping[str, str], after: str | None, limit: int) -> list[Row]:
        return self._all(review_search(workspace, filters, after, limit))

    def close_review(self, review_id: str, state: str, now: int) -> bool:
        return self._changed(queries.CLOSE_REVIEW, at_id=review_id, to_state=state, now=now)

    def change_review(self, review_id: str, **changes: Any) -> bool:
        where = {"at_id": review_id}
        return self._connection.execute(*setting(queries.CHANGE_REVIEW, changes, where)).rowcount > 0

    def send_back_artifacts(self, job_id: str) -> None:
        self._changed(queries.SEND_BACK_ARTIFACTS, at_id=job_id, stays=sorted(STAYS))

    def insert_decision(self, decision: Mapping[str, Any]) -> None:
        self._connection.execute(insert(decisions), dict(decision))

    def decisions(self, review_id: str) -> list[Row]:
        return self._all(queries.DECISIONS, review_id=review_id)

    def insert_escalation(self, escalation: Mapping[str, Any]) -> None:
        self._connection.execute(insert(escalations), dict(escalation))

    def escalations(self, job_id: str) -> list[Row]:
        return self._all(queries.ESCALATIONS, job_id=job_id)

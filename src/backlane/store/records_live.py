"""A transaction's reads and writes for live text."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from backlane.core.ports import Due
from backlane.core.storage import Row
from backlane.core.stream import UNKNOWN_AT_MOST, same_news
from backlane.store import queries, queries_live

if TYPE_CHECKING:
    from sqlalchemy import Connection

# At most so many jobs are asked for in one statement.
_TOGETHER = 5_000


class LiveRecords:
    """The part of a transaction that is about live streams."""

    if TYPE_CHECKING:
        _connection: Connection

        def _all(self, statement: Any, **values: Any) -> list[Row]: ...
        def _changed(self, statement: Any, **values: Any) -> bool: ...

    def streamed(self, job_id: str) -> str:
        rows = self._all(queries_live.STREAMED, job_id=job_id)
        return "".join(json.loads(row["data"] or "{}").get("text", "") for row in rows)

    def keep_unknown(self, attempt_id: str, events: Sequence[str]) -> None:
        if not events:
            return
        before = self.unknown_events(attempt_id)
        known, number = {same_news(body) for body in before}, len(before)
        for body in events:
            news = same_news(body)
            if news in known or sum(one[0] == news[0] for one in known) >= UNKNOWN_AT_MOST:
                continue
            known.add(news)
            number += 1
            row = {"attempt_id": attempt_id, "number": number, "body": body}
            self._connection.execute(queries_live.KEEP_UNKNOWN, row)

    def unknown_events(self, attempt_id: str) -> list[str]:
        return [row["body"] for row in self._all(queries_live.UNKNOWN_EVENTS, attempt_id=attempt_id)]

    def newest_seqs(self, job_ids: Sequence[str]) -> dict[str, int]:
        found: dict[str, int] = {}
        for start in range(0, len(job_ids), _TOGETHER):
            rows = self._all(queries_live.NEWEST_SEQS, ids=list(job_ids[start : start + _TOGETHER]))
            found.update({row["id"]: row["seq"] or 0 for row in rows})
        return found

    def listen(self, due: Due, until: int) -> bool:
        return self._changed(queries.LISTEN_LEASE, at_id=due.job_id, at_lease_no=due.lease_no, until=until)

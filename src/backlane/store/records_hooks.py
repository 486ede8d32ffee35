"""The part of a transaction that is about the provider's signed events."""

from collections.abc import Mapping, Sequence
from typing import Any

from backlane.core.job import Attempt
from backlane.core.notice import Notice
from backlane.core.storage import Row
from backlane.store import queries_hooks as queries
from backlane.store.records import JobRecords, attempt_of
from backlane.store.tables_wire import inbox


def _place(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"at_account": row["provider_account"], "at_webhook": row["webhook_id"]}


class InboxRecords(JobRecords):
    """Named reads and guarded writes over the inbox."""

    def keep_notice(self, notice: Notice, now: int) -> bool:
        row = {
            "provider_account": notice.account,
            "webhook_id": notice.webhook_id,
            "type": notice.type,
            "response_id": notice.response_id,
            "body": notice.body,
            "state": "new",
            "tries": 0,
            "received_at": now,
            "due_at": now,
        }
        statement = self._dialect.insert(inbox).values(**row).on_conflict_do_nothing()
        return self._connection.execute(statement.returning(inbox.c.webhook_id)).first() is not None

    def attempt_of_response(self, account: str, response_id: str) -> Attempt | None:
        row = self._one(queries.ATTEMPT_OF_RESPONSE, account=account, response_id=response_id)
        return None if row is None else attempt_of(row)

    def claim_notices(self, now: int, until: int, n: int) -> list[Row]:
        due = self._all(queries.DUE_NOTICES, now=now, n=n)
        return [
            {**row, "tries": row["tries"] + 1}
            for row in due
            if self._changed(queries.CLAIM_NOTICE, **_place(row), at_tries=row["tries"], now=now, until=until)
        ]

    def settle_notice(self, row: Row, state: str, note: str, now: int) -> None:
        self._changed(queries.SETTLE_NOTICE, **_place(row), to_state=state, why=note[:200], now=now)

    def park_notice(self, row: Row, note: str, due_at: int, *, attempt_id: str | None, tries: int) -> None:
        self._changed(
            queries.PARK_NOTICE,
            **_place(row),
            why=note[:200],
            at=due_at,
            to_tries=tries,
            named=attempt_id,
        )

    def free_notices(self, now: int) -> None:
        self._changed(queries.FREE_NOTICES, now=now)

    def next_notice(self) -> int | None:
        return self._connection.execute(queries.NEXT_NOTICE).scalar()

    def newest_notice(self, account: str, since: int) -> int | None:
        found = {"account": account, "since": since}
        return self._connection.execute(queries.NEWEST_NOTICE, found).scalar()

    def heard_of(self, account: str, response_id: str) -> int | None:
        found = {"account": account, "response_id": response_id}
        return self._connection.execute(queries.HEARD_OF, found).scalar()

    def told_of(self, account: str, response_id: str) -> int | None:
        found = {"account": account, "response_id": response_id}
        return self._connection.execute(queries.TOLD_OF, found).scalar()

    def drop_notices(self, before: int, n: int) -> int:
        return self._connection.execute(queries.DROP_NOTICES, {"before": before, "n": n}).rowcount

    def unknown_types(self, n: int) -> Sequence[Row]:
        return self._all(queries.UNKNOWN_TYPES, n=n)

    def accounts_heard(self) -> Sequence[Row]:
        return self._all(queries.ACCOUNTS_HEARD)

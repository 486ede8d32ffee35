"""The part of a transaction that is about lanes: incidents, their probes, counts of calls, who waits."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from backlane.core.health import SHOWN_MINUTES, Counts
from backlane.core.storage import Row
from backlane.store import queries_lanes as queries
from backlane.store.dialects import Dialect
from backlane.store.tables import lanes
from backlane.store.tables_wire import lane_minutes

_PLACE = ("provider_account", "lane", "minute")


class LaneRecords:
    """A mixin of the whole transaction."""

    _connection: Connection
    _dialect: Dialect
    _one: Callable[..., Row | None]
    _all: Callable[..., list[Row]]
    _changed: Callable[..., bool]

    def holds(self, places: Sequence[str], lane: str) -> list[Row]:
        return self._all(queries.HOLDS, places=list(places), lane_name=lane)

    def claim_probe(self, incident: Mapping[str, Any], now: int, at: int) -> bool:
        return self._changed(
            queries.CLAIM_PROBE,
            account=incident["provider_account"],
            lane_name=incident["lane"],
            at_since=incident["since"],
            at_probes=incident["probes"],
            now=now,
            at=at,
        )

    def hold_by_person(self, row: Mapping[str, Any]) -> None:
        place = ["provider_account", "lane"]
        kept = {name: value for name, value in row.items() if name not in place}
        statement = self._dialect.insert(lanes).values(**row)
        self._connection.execute(statement.on_conflict_do_update(index_elements=place, set_=kept))

    def add_counts(self, counts: Mapping[tuple[str, str, int], Counts]) -> None:
        for place, count in counts.items():
            added = {"good": count.good, "bad": count.bad, "delay": count.delay}
            where = dict(zip(_PLACE, place, strict=True))
            statement = self._dialect.insert(lane_minutes).values(**where, **added)
            sums = {name: lane_minutes.c[name] + value for name, value in added.items()}
            self._connection.execute(statement.on_conflict_do_update(index_elements=_PLACE, set_=sums))
            first = place[2] - 2 * SHOWN_MINUTES
            self._changed(queries.FORGET_COUNTS, account=place[0], lane_name=place[1], first=first)

    def counts(self, account: str, lane: str, first_minute: int) -> Counts:
        row = self._one(queries.COUNTS, account=account, lane_name=lane, first=first_minute) or {}
        return Counts(*(int(row.get(name) or 0) for name in ("good", "bad", "delay")))

    def waiting(self, account: str, lane: str, now: int, n: int, *, workspace: str | None) -> list[str]:
        statement = queries.WAITING if workspace is None else queries.WAITING_HERE
        where = {} if workspace is None else {"at_workspace": workspace}
        rows = self._all(
            self._dialect.claimable(statement), account=account, lane_name=lane, now=now, n=n, **where
        )
        return [row["id"] for row in rows]

    def admit(self, places: Sequence[tuple[str, int]]) -> None:
        if places:
            values = [{"at_id": job_id, "at_due": at} for job_id, at in places]
            self._connection.execute(queries.ADMIT, values)

    def lane_jobs(self, workspace: str) -> list[Row]:
        return self._all(queries.LANE_JOBS, workspace=workspace)

    def lane_durations(self, workspace: str) -> list[Row]:
        return self._all(queries.LANE_DURATIONS, workspace=workspace)

"""The invariants of accounts, windows and held lanes (L1 to L3)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

from backlane.core.health import HELD
from backlane.verify.evidence import Evidence, Row

# A run whose sending was committed beside the hold itself, on a database with several writers, milliseconds.
_BESIDE = 1_000


def marks_are_one(evidence: Evidence) -> Iterator[str]:
    """L1: what a run cost is marked simulated exactly where its job is."""
    marks = {job["id"]: job["simulated"] for job in evidence.jobs}
    for line in evidence.cost_lines:
        if line["simulated"] != marks.get(line["job_id"], line["simulated"]):
            yield f"{line['attempt_id']}'s cost is simulated={line['simulated']}, its job is not"


def held_lanes_send_nothing(evidence: Evidence) -> Iterator[str]:
    """L2: on a held lane nothing is sent but one run a try; on one that a person holds nothing at all."""
    attempts = {row["id"]: row for row in evidence.attempts}
    open_holds: dict[tuple[Any, ...], _Hold] = {}
    for event in sorted(evidence.events, key=_order):
        data: dict[str, Any] = json.loads(event["data"] or "{}")
        if event["type"] in ("lane.held", "lane.released"):
            person = data.get("code") == HELD
            place = (event["workspace"], data.get("account"), data.get("lane"), person)
            open_holds.pop(place, None)
            if event["type"] == "lane.held":
                open_holds[place] = _Hold(event["at"], person)
        elif event["type"] == "attempt.sent":
            attempt = attempts.get(data.get("attempt", ""))
            if attempt is None:
                continue
            for person in (False, True):
                where = (event["workspace"], attempt["provider_account"], attempt["lane"], person)
                if where in open_holds:
                    yield from open_holds[where].meets(attempt["id"], event["at"], data.get("probe"))


class _Hold:
    """One stretch of time in which a lane was held."""

    def __init__(self, since: int, person: bool) -> None:
        self._since = since
        self._person = person
        self._tries: set[int] = set()

    def meets(self, attempt_id: str, at: int, probe: int | None) -> Iterator[str]:
        """A run was sent meanwhile."""
        if at <= self._since + _BESIDE and probe is None:
            return
        if self._person:
            yield f"{attempt_id} was sent on a lane that a person holds"
        elif probe is None:
            yield f"{attempt_id} was sent on a held lane without being its one try"
        elif probe in self._tries:
            yield f"{attempt_id} was sent as try {probe} of a held lane, which was taken already"
        self._tries.add(probe or 0)


def _order(event: Row) -> tuple[str, bool, int, str]:
    """A workspace's events as they were committed, as far as the database tells."""
    place = event["feed_seq"]
    return event["workspace"], place is None, place or 0, event["id"]


def windows_are_kept(evidence: Evidence) -> Iterator[str]:
    """L3: a run is bought and priced by the completion window that its job asked for."""
    windows = {job["id"]: job["window"] for job in evidence.jobs}
    bought = {row["id"]: row["window"] for row in evidence.attempts}
    for row in evidence.attempts:
        if row["window"] != windows.get(row["job_id"], row["window"]):
            yield f"{row['id']} was bought with window {row['window']}, its job asked for another"
    for line in evidence.cost_lines:
        window = bought.get(line["attempt_id"], "soonest")
        told = f"window {window}:" in line["basis"] if window != "soonest" else "window" not in line["basis"]
        if line["amount"] is not None and not told:
            yield f"{line['attempt_id']} has window {window} and was priced as {line['basis']!r}"


LANE_INVARIANTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "L1": marks_are_one,
    "L2": held_lanes_send_nothing,
    "L3": windows_are_kept,
}

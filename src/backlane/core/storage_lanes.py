"""What the services ask of the database about lanes: incidents, their probes, counts of calls, who waits."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backlane.core.health import Counts


class LaneRecords(Protocol):
    """The part of a transaction that is about lanes."""

    def holds(self, places: Sequence[str], lane: str) -> list[dict[str, Any]]:
        """The open incidents of a lane under any of these names."""
        ...

    def claim_probe(self, incident: Mapping[str, Any], now: int, at: int) -> bool:
        """Take the one try that is due now; the next is due at `at`. Whether this call took it."""
        ...

    def hold_by_person(self, row: Mapping[str, Any]) -> None:
        """Write a person's hold; a former one of the same place is replaced."""
        ...

    def add_counts(self, counts: Mapping[tuple[str, str, int], Counts]) -> None:
        """Add calls to their account, lane and minute."""
        ...

    def counts(self, account: str, lane: str, first_minute: int) -> Counts:
        """The calls of an account and lane from a minute on."""
        ...

    def waiting(self, account: str, lane: str, now: int, n: int, *, workspace: str | None) -> list[str]:
        """Jobs that wait for a lane to be reopened, the oldest first; nobody holds them."""
        ...

    def admit(self, places: Sequence[tuple[str, int]]) -> None:
        """Let waiting jobs go on, each at its time."""
        ...

    def lane_jobs(self, workspace: str) -> list[dict[str, Any]]:
        """Per account and lane how many open jobs of a workspace wait for an incident, how many runs are out."""
        ...

    def lane_durations(self, workspace: str) -> list[dict[str, Any]]:
        """How long runs of each kind took lately."""
        ...

"""What this process saw of its calls, counted in memory and written down now and then with something else."""

from dataclasses import dataclass, field

from backlane.core.health import Counts, is_bad
from backlane.core.schedule import MINUTE, SECOND

# Good news can wait so long; bad news goes with the very next write.
_KEPT_FOR = 5 * SECOND
Place = tuple[str, str, int]


@dataclass(slots=True)
class Health:
    """Counts by account, lane and minute that are not written yet. Used on one loop only."""

    _counts: dict[Place, Counts] = field(default_factory=dict[Place, Counts])
    _taken_at: int = 0
    _urgent: bool = False

    def note(self, account: str, lane: str, outcome: object, sent_at: int, now: int) -> None:
        """One call came back; times are milliseconds since 1970 UTC."""
        bad = is_bad(outcome)
        count = Counts(bad=1) if bad else Counts(good=1, delay=max(0, now - sent_at))
        place = account, lane, now // MINUTE
        self._counts[place] = self._counts.get(place, Counts()) + count
        self._urgent = self._urgent or bad

    def take(self, now: int) -> dict[Place, Counts]:
        """What is to be written with the transaction that begins now; nothing, most of the time."""
        if not self._counts or (not self._urgent and 0 <= now - self._taken_at < _KEPT_FOR):
            return {}
        taken, self._counts = self._counts, {}
        self._taken_at, self._urgent = now, False
        return taken

    def give_back(self, counts: dict[Place, Counts]) -> None:
        """They were not written after all."""
        for place, count in counts.items():
            self._counts[place] = self._counts.get(place, Counts()) + count

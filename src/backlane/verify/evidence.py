"""What the checker judges from: rows as they lie in the database, and histories where somebody kept them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


def by(rows: Iterable[Row], name: str) -> dict[Any, list[Row]]:
    """The rows by the value of one column."""
    found: dict[Any, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def data_of(event: Row) -> dict[str, Any]:
    """An event's, or an audit line's, data; empty where retention removed it."""
    return json.loads(event["data"] or "{}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Rows by table; `broken_artifacts` names artifacts whose bytes do not hash to their record.

    `provider_log` is the provider's truth log (one mapping per call). `submits` are what clients saw:
    `{"key", "body_hash", "job", "inputs_digest", "outcome": ok|conflict|info}`. `watches` are the event
    numbers each follower saw, in order. `now` is given where no worker is behind: milliseconds since 1970.
    `restored_at` is when an operator last declared that a backup was restored: what was bought between the
    backup and then may have lost its row. `keys` carry the name of whose they are; `world_log` is what the
    outside world saw of actions: `{"key"}` for each effect.
    """

    jobs: Sequence[Row]
    inputs: Mapping[str, str]
    attempts: Sequence[Row]
    events: Sequence[Row]
    artifacts: Sequence[Row]
    cost_lines: Sequence[Row]
    reviews: Sequence[Row]
    idempotency_keys: Sequence[Row]
    inbox: Sequence[Row] = ()
    turns: Sequence[Row] = ()
    messages: Sequence[Row] = ()
    tool_calls: Sequence[Row] = ()
    uploads: Sequence[Row] = ()
    job_files: Sequence[Row] = ()
    provider_files: Sequence[Row] = ()
    audit: Sequence[Row] = ()
    keys: Sequence[Row] = ()
    cases: Sequence[Row] = ()
    notes: Sequence[Row] = ()
    actions: Sequence[Row] = ()
    dispatches: Sequence[Row] = ()
    decisions: Sequence[Row] = ()
    escalations: Sequence[Row] = ()
    draws: Sequence[Row] = ()
    verdicts: Sequence[Row] = ()
    policy_versions: Sequence[Row] = ()
    budgets: Sequence[Row] = ()
    reservations: Sequence[Row] = ()
    broken_artifacts: Sequence[str] | None = None
    provider_log: Sequence[Row] | None = None
    world_log: Sequence[Row] | None = None
    submits: Sequence[Row] | None = None
    watches: Sequence[Sequence[int]] | None = None
    now: int | None = None
    restored_at: int | None = None


@dataclass(slots=True)
class Report:
    """What the checker found: violations by invariant, and which ones it could not judge, and why."""

    violations: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    judged: list[str] = field(default_factory=list[str])
    not_judged: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.violations

    def lines(self) -> list[str]:
        """The report, a line each."""
        told = [f"{name}: VIOLATED: {what}" for name, what in self.violations]
        broken = {name for name, _ in self.violations}
        told += [f"{name}: holds" for name in self.judged if name not in broken]
        return told + [f"{name}: not judged: {why}" for name, why in self.not_judged.items()]

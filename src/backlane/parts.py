"""The parts of a declared job type: its options and checks."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from backlane.own_thread import in_own_thread


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The declared options of a job type. Durations are milliseconds."""

    authority: str
    useful_for: int
    latency_budget: int | None
    max_cost: str | None
    lanes: tuple[str, ...]
    live: bool
    window: str
    continuation: str | None
    max_attempts: int
    max_turns: int
    max_tool_calls: int
    if_unknown: str
    if_invalid: str
    who_may_cancel: str
    review_role: str
    review_quorum: int
    respond_within: int | None
    separate: bool
    escalation: tuple[str, ...]
    reviewed: bool
    reviews_text: bool
    finish_after_actions: bool
    unbound_remote: bool
    cases: tuple[tuple[str, bool], ...] = ()
    sampled: float | None = None
    unreviewed_because: str | None = None


class ActingOptions:
    """The part of a declared job type that tells what its options say of actions."""

    __slots__ = ()
    options: Options

    @property
    def finish_after_actions(self) -> bool:
        """Whether the last action's success ends the job without another turn of the model."""
        return self.options.finish_after_actions

    @property
    def unbound_remote(self) -> bool:
        """Whether remote calls may hold addresses, though nothing binds what they show."""
        return self.options.unbound_remote

    @property
    def reviews_text(self) -> bool:
        """Whether what is written after the last action is reviewed too."""
        return self.options.reviews_text


@dataclass(frozen=True, slots=True)
class DeclaredCheck:
    """One check; a blocking one runs in a thread of its own."""

    name: str
    function: Callable[[Any, Any], Any]

    async def run(self, result: Any, job: Any) -> Any:
        """The check's report, as JSON. Raises CheckFailed if the result must not pass."""
        if inspect.iscoroutinefunction(self.function):
            report = await self.function(result, job)
        else:
            report = await in_own_thread(self.function, result, job)
        if isinstance(report, BaseModel):
            report = report.model_dump(mode="json")
        try:
            return json.loads(json.dumps(report, allow_nan=False))
        except (TypeError, ValueError, RecursionError):
            return str(report)

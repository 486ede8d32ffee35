"""What an external action is, and what may become of it: frozen values and pure answers.

Proposed, approved, dispatched once. `key` is the same for ever; nothing here sends anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol


class ActionState(StrEnum):
    """How far an action has come, as far as we know."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    DISPATCHING = "dispatching"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"


class Origin(StrEnum):
    """Who proposed it: the model's call, a remote tool that asks for approval, or the type from its result."""

    MODEL = "model"
    MCP = "mcp"
    TYPE = "type"


# Nothing of these has left us: they end with their job.
UNSENT = frozenset({ActionState.PROPOSED, ActionState.APPROVED})
# The outside may have been changed by these, and nobody knows yet.
IN_DOUBT = frozenset({ActionState.DISPATCHING, ActionState.UNKNOWN})
OPEN = UNSENT | IN_DOUBT
# The code of an action that was never sent, because a person asked the model for another one.
SENT_BACK = "changes_requested"
# So many lookups in a row that broke, and a person is asked.
LOOKUPS_AT_MOST = 5
# So many lookups at all, because the call itself lives on and on, and a person is asked too.
LOOKS_AT_MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One row of the effect ledger. Times are milliseconds since 1970 UTC, durations milliseconds.

    `arguments` is canonical JSON, `payload_hash` the hash of the bytes that are approved and dispatched.
    """

    id: str
    workspace: str
    job_id: str
    attempt_id: str
    call_row: str | None
    number: int
    type: str
    origin: Origin
    target: str
    arguments: str
    content: str | None
    state: ActionState
    key: str
    payload_hash: str
    policy_version: str
    expires_at: int
    review_id: str | None
    undo: int
    timeout: int
    proposed_at: int
    approved_at: int | None = None
    approved_by: str | None = None
    dispatch_after: int | None = None
    dispatched_at: int | None = None
    sender: str | None = None
    unknown_at: int | None = None
    look_at: int | None = None
    looks: int = 0
    looks_broken: int = 0
    finished_at: int | None = None
    settled_by: str | None = None
    code: str | None = None
    receipt: str | None = None


class Unbound(ValueError):
    """Arguments that hold an address, of an action that does not bind what it shows."""


class TypeAction(Protocol):
    """An action of a job type. `undo` and `timeout` are milliseconds."""

    @property
    def name(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def undo(self) -> int: ...
    @property
    def timeout(self) -> int: ...
    @property
    def can_look_up(self) -> bool:
        """Whether the type can say if a key took effect."""
        ...

    @property
    def can_be_stopped(self) -> bool:
        """Whether a call can be asked to stop: a coroutine can, a thread cannot."""
        ...

    def read(self, arguments: str | Mapping[str, Any]) -> str:
        """The arguments as canonical JSON, validated, defaults filled. Raises ValueError saying what is wrong."""
        ...

    def typed(self, arguments: str) -> Any:
        """Canonical arguments as the action's model. Raises ValueError where they do not fit it."""
        ...

    async def content(self, arguments: str) -> str | None:
        """A digest of what the arguments point at, where the type declares one. Raises Unbound, or anything."""
        ...

    async def run(self, arguments: str, key: str) -> Any:
        """Carry it out once; its receipt as JSON. Raises whatever the function raises."""
        ...

    async def look_up(self, key: str) -> Any:
        """The receipt if this key took effect, else None. Raises whatever the function raises."""
        ...


class ActingType(Protocol):
    """The part of a job type that is about actions."""

    def action(self, name: str) -> TypeAction | None:
        """The declared action by this name."""
        ...

    @property
    def finish_after_actions(self) -> bool:
        """Whether the last action's success ends the job without another turn of the model."""
        ...

    @property
    def unbound_remote(self) -> bool:
        """Whether remote calls may hold addresses, though nothing binds what they show."""
        ...

    @property
    def reviews_text(self) -> bool:
        """Whether what is written after the last action is reviewed too."""
        ...

    @property
    def proposes(self) -> bool:
        """Whether the type proposes actions from its result."""
        ...

    async def proposals(self, result: Any, job: Any) -> Sequence[tuple[str, Any]]:
        """The actions the type proposes: name and arguments. May raise whatever the type's code raises."""
        ...


def current(actions: Sequence[Action]) -> Action | None:
    """The action whose turn it is, in the order they were proposed.

    A remote call that was let go is the provider's to make: it is waited for together with its run.
    """
    return next((one for one in actions if one.state in OPEN and not is_carried(one)), None)


def is_carried(action: Action) -> bool:
    """Whether an approved remote call travels with the job's next run, and its end is not seen yet."""
    return action.origin is Origin.MCP and action.state is ActionState.DISPATCHING


def counted(actions: Sequence[Action]) -> list[Action]:
    """The actions that count for the job's end: not those that were sent back for changes."""
    return [one for one in actions if one.code != SENT_BACK]


def carried(actions: Sequence[Action]) -> list[Action]:
    """The remote calls whose end only a run can tell."""
    return [one for one in actions if is_carried(one)]


def effect_in_doubt(actions: Sequence[Action]) -> bool:
    """Whether the outside may be changing, or have been changed, without our knowing: nothing may end then."""
    return any(one.state in IN_DOUBT for one in actions)


def anything_sent(actions: Sequence[Action]) -> bool:
    """Whether anything may have left for the outside world."""
    sent = IN_DOUBT | {ActionState.SUCCEEDED}
    return any(one.state in sent or one.receipt is not None for one in actions)


def ends_as(actions: Sequence[Action]) -> str | None:
    """The failure that an action which did not happen leads its job to; None while all went well."""
    for one in counted(actions):
        if one.state is ActionState.FAILED:
            return one.code or "action_failed"
        if one.state is ActionState.UNDONE:
            return "undone"
        if one.state is ActionState.REJECTED:
            return "rejected"
    return None


def quiet_from(action: Action, slack: int) -> int:
    """From when on a lookup that finds nothing proves that nothing happened.

    An in-flight call looks absent too: its hard time-out passes, then a quiet period longer than that.
    """
    return (action.dispatched_at or action.proposed_at) + 2 * action.timeout + slack

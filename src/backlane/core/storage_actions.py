"""What the services ask of the database about actions, as a Protocol."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from backlane.core.action import Action

Row = dict[str, Any]


class ActionStorage(Protocol):
    """The part of a transaction that is about the effect ledger."""

    def insert_action(self, action: Action) -> None: ...
    def actions(self, job_id: str) -> list[Action]:
        """A job's actions, in the order they were proposed."""
        ...

    def actions_of(self, job_ids: Sequence[str]) -> dict[str, list[Action]]: ...
    def action(self, action_id: str) -> Action | None: ...
    def action_of_review(self, review_id: str) -> Action | None: ...
    def move_action(self, action_id: str, sources: Sequence[str], **changes: Any) -> bool:
        """Change an action if its state is one of `sources`; whether it was."""
        ...

    def keep_receipt(self, action_id: str, receipt: str) -> bool:
        """Keep what the outside gave, if nothing is kept yet; whether this was the first."""
        ...

    def insert_dispatch(self, row: Mapping[str, Any]) -> None:
        """Write that an action is about to be carried out. A second time breaks the ledger's key."""
        ...

    def withdraw_dispatch(self, action_id: str) -> None:
        """Take a dispatch back whose run was never sent."""
        ...

    def dispatch(self, action_id: str) -> Row | None: ...
    def dispatches_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]: ...
    def answer_dispatch(
        self, action_id: str, *, outcome: str, code: str | None, said: str | None, now: int
    ) -> bool:
        """Keep what the call itself said, once; whether this call kept it."""
        ...

    def call_proposed(self, row_id: str) -> bool:
        """Let a call wait for the action it became; whether it was still open."""
        ...

    def live_roles(self, workspace: str, name: str, now: int) -> list[Row]:
        """The roles somebody holds by keys that are valid now, with kind and may_decide."""
        ...

    def actions_stopped_at(self, workspace: str) -> int | None:
        """Since when the workspace's kill switch is on; None while it is off."""
        ...

    def stop_actions(self, workspace: str, now: int) -> bool: ...
    def allow_actions(self, workspace: str) -> bool: ...
    def waiting_to_act(self, workspace: str) -> list[str]:
        """The jobs whose approved actions wait for their time."""
        ...

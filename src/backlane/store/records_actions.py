"""A transaction's named reads and guarded writes over actions and their dispatches."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from backlane.core.action import Action, ActionState, Origin
from backlane.core.storage import Row
from backlane.store import queries_actions as queries
from backlane.store.records import JobRecords, setting


def action_of(row: Mapping[str, Any]) -> Action:
    """A stored row as the value the core works with."""
    values: dict[str, Any] = dict(row)
    values["state"] = ActionState(values["state"])
    values["origin"] = Origin(values["origin"])
    return Action(**values)


class ActionRecords(JobRecords):
    """The part of a transaction that is about the effect ledger."""

    def insert_action(self, action: Action) -> None:
        row = {field.name: getattr(action, field.name) for field in fields(action)}
        self._connection.execute(queries.INSERT_ACTION, row)

    def actions(self, job_id: str) -> list[Action]:
        return [action_of(row) for row in self._all(queries.ACTIONS, job_id=job_id)]

    def actions_of(self, job_ids: Sequence[str]) -> dict[str, list[Action]]:
        rows = self._by_job(queries.ACTIONS_OF, job_ids)
        return {job_id: [action_of(row) for row in found] for job_id, found in rows.items()}

    def action(self, action_id: str) -> Action | None:
        row = self._one(queries.ACTION, action_id=action_id)
        return None if row is None else action_of(row)

    def action_of_review(self, review_id: str) -> Action | None:
        row = self._one(queries.ACTION_OF_REVIEW, review_id=review_id)
        return None if row is None else action_of(row)

    def move_action(self, action_id: str, sources: Sequence[str], **changes: Any) -> bool:
        where = {"at_id": action_id, "sources": list(sources)}
        return self._connection.execute(*setting(queries.MOVE_ACTION, changes, where)).rowcount > 0

    def keep_receipt(self, action_id: str, receipt: str) -> bool:
        return self._changed(queries.KEEP_RECEIPT, at_id=action_id, to_receipt=receipt)

    def insert_dispatch(self, row: Mapping[str, Any]) -> None:
        self._connection.execute(queries.INSERT_DISPATCH, dict(row))

    def withdraw_dispatch(self, action_id: str) -> None:
        self._connection.execute(queries.WITHDRAW_DISPATCH, {"at_id": action_id})

    def dispatch(self, action_id: str) -> Row | None:
        return self._one(queries.DISPATCH, action_id=action_id)

    def dispatches_of(self, job_ids: Sequence[str]) -> dict[str, list[Row]]:
        return self._by_job(queries.DISPATCHES_OF, job_ids)

    def answer_dispatch(
        self, action_id: str, *, outcome: str, code: str | None, said: str | None, now: int
    ) -> bool:
        kept = {"to_outcome": outcome, "to_code": code, "to_said": said, "now": now}
        return self._changed(queries.ANSWER_DISPATCH, at_id=action_id, **kept)

    def call_proposed(self, row_id: str) -> bool:
        return self._changed(queries.CALL_PROPOSED, at_id=row_id)

    def live_roles(self, workspace: str, name: str, now: int) -> list[Row]:
        return self._all(queries.LIVE_ROLES, workspace=workspace, name=name, now=now)

    def actions_stopped_at(self, workspace: str) -> int | None:
        return self._connection.execute(queries.STOPPED_AT, {"workspace": workspace}).scalar()

    def stop_actions(self, workspace: str, now: int) -> bool:
        return self._changed(queries.STOP_ACTIONS, at_id=workspace, now=now)

    def allow_actions(self, workspace: str) -> bool:
        return self._changed(queries.ALLOW_ACTIONS, at_id=workspace)

    def waiting_to_act(self, workspace: str) -> list[str]:
        return [row["id"] for row in self._all(queries.WAITING_TO_ACT, workspace=workspace)]

"""Planted mistakes about what changes under way: releases, marks, held lanes, accounts."""

from dataclasses import replace
from typing import Any

from backlane.core.storage import Row, Transaction
from backlane.provider.openai import OpenAIProvider
from backlane.service import access, incident, reserve
from backlane.store.records_case import CaseRecords
from tests.world.mistakes_people import never_void_for
from tests.world.planting import Undo, put, swap


def act_on_the_word_of_an_old_policy() -> list[Undo]:
    """What was let out under one policy goes out under the next one too."""
    return never_void_for("policy_changed")


def send_what_changed() -> list[Undo]:
    """What an action shows may be another by the time it goes out."""
    return never_void_for("content_changed")


def tell_what_was_spared() -> list[Undo]:
    """A job that its draw spared is open before its result is there."""
    return swap(access.draw_unsaid, lambda job: False)


def send_without_the_money() -> list[Undo]:
    """A budget that is full holds nobody."""
    before = reserve.room_for

    def roomy(tx: Transaction, job: Any, now: int, *, lock: bool = False) -> Any:
        return replace(before(tx, job, now, lock=lock), full=None)

    return swap(before, roomy)


def mark_a_job_and_close_nothing() -> list[Undo]:
    """The mark is written down; what the job says from then on is told like what it said before."""
    before = CaseRecords.mark_job

    def open_ended(self: Any, job: Any, **marks: Any) -> None:
        before(self, job, **marks | ({"closed_from": 2**30} if "closed_from" in marks else {}))

    return put(CaseRecords, "mark_job", open_ended)


def look_at_no_hold_of_a_person() -> list[Undo]:
    """What a person holds goes on; only incidents hold a lane."""
    before = incident.holds_of

    def found_by_calls(tx: Transaction, job: Any) -> list[Row]:
        return [row for row in before(tx, job) if row["held_by"] is None]

    return swap(before, found_by_calls)


def look_with_the_key_of_another_account() -> list[Undo]:
    """A run is asked for with the common key, whoever bought it."""
    before = OpenAIProvider.look

    async def common(self: Any, account: str, response_id: str) -> Any:
        return await before(self, "default", response_id)

    return put(OpenAIProvider, "look", common)


CHANGING_MISTAKES = {
    "changes": (
        act_on_the_word_of_an_old_policy,
        send_what_changed,
        tell_what_was_spared,
        send_without_the_money,
        mark_a_job_and_close_nothing,
        look_at_no_hold_of_a_person,
        look_with_the_key_of_another_account,
    )
}

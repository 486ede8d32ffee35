"""Planted mistakes about streams, the provider's events, tools and files."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import select, update

from backlane.core.job import Attempt, AttemptState
from backlane.core.notice import Notice
from backlane.core.provider_file import Missing
from backlane.core.storage import Row, Transaction
from backlane.core.stream import Place
from backlane.provider.openai import OpenAIProvider
from backlane.service import adopt, bring, hints, live_text, stream, take_turns, use_tools
from backlane.service.lease import renewed
from backlane.service.ports import Ports
from backlane.service.situate import Held
from backlane.store import queries_files
from backlane.store.records_hooks import InboxRecords
from backlane.store.records_tools import ToolRecords
from backlane.store.tables import attempts
from backlane.store.tables_wire import provider_files, tool_calls
from tests.world.planting import Undo, put, swap


def save_the_cursor_before_its_text() -> list[Undo]:
    """How far a stream was read is written down first, what it said a moment later."""
    before = stream._Reader.commit

    async def hasty(self: Any, *, renew: bool = False, started: bool = False) -> bool:
        if self._text:
            await self.ports.store.write(self._keep_cursor)
        return await before(self, renew=renew, started=started)

    return put(stream._Reader, "commit", hasty)


def keep_text_without_its_cursor() -> list[Undo]:
    """The text is written down, how far the stream was read is not."""
    return put(stream._Reader, "_keep_cursor", lambda self, tx: None)


def begin_a_stream_anew() -> list[Undo]:
    """A stream is taken up at its beginning, and what it says once more is taken as new."""
    before = OpenAIProvider.resume_stream

    def anew(self: Any, account: str, response_id: str, after: int | None) -> Any:
        return before(self, account, response_id, None)

    return [
        *put(OpenAIProvider, "resume_stream", anew),
        *swap(stream.place_of, lambda cursor, seq: Place.NEXT),
    ]


def leave_the_text_of_a_lost_run() -> list[Undo]:
    """What an earlier attempt had streamed stays before the text of the next."""
    return swap(live_text.voided, lambda tx, job, attempt_id, now: [])


def believe_an_event() -> list[Undo]:
    """A run has failed because an event says so."""
    before = hints.keep_notices

    async def believing(ports: Ports, notices: Sequence[Notice]) -> None:
        await before(ports, notices)

        def body(tx: Transaction) -> None:
            for one in notices:
                known = tx.attempt_of_response(one.account, one.response_id or "")
                if known is not None and one.type == "response.failed":
                    changes = {"state": AttemptState.FAILED, "finished_at": ports.clock.now()}
                    tx.move_attempt(known.id, [AttemptState.ACCEPTED], **changes)

        await ports.store.write(body)

    return swap(before, believing)


def adopt_without_looking_whose_it_is() -> list[Undo]:
    """A run that nobody knows is that of whichever attempt waits for one."""
    before = adopt.named_by

    def whoever(tx: Any, account: str, metadata: Any) -> Attempt | None:
        waiting = select(attempts.c.id).where(attempts.c.state.in_(("sending", "unknown")))
        found = tx._connection.execute(waiting.order_by(attempts.c.id)).first()
        return before(tx, account, metadata) if found is None else tx.attempt(found[0])

    return swap(before, whoever)


def drop_a_parked_event() -> list[Undo]:
    """An event that came too soon is called somebody else's."""

    def dropped(self: Any, row: Row, note: str, due_at: int, *, attempt_id: str | None, tries: int) -> None:
        self.settle_notice(row, "foreign", note, due_at)

    return put(InboxRecords, "park_notice", dropped)


def ignore_a_second_purchase() -> list[Undo]:
    """A run beside the one an attempt has is nobody's."""
    return swap(adopt._second, lambda tx, ports, attempt, found: "it has a run already")


def answer_calls_again() -> list[Undo]:
    """After a crash every call of a turn is answered, also those that were."""

    async def all_of_them(ports: Ports, held: Held, attempt: Attempt) -> Held | None:
        rows = await ports.store.read(lambda tx: tx.tool_calls(attempt.id))
        still = await use_tools._begin(ports, held)
        if still is not None:
            async with renewed(ports, still):
                still = await use_tools._answer_all(ports, still, attempt, rows)
        return None if still is None else await use_tools._go_on(ports, still, attempt)

    def answered(self: Any, call_id: str, *, code: str | None, output: str, now: int) -> bool:
        known = {"state": "answered", "code": code, "output": output, "finished_at": now}
        self._connection.execute(update(tool_calls).where(tool_calls.c.id == call_id).values(known))
        return True

    return swap(use_tools.run_tools, all_of_them) + put(ToolRecords, "answer_tool_call", answered)


def tell_the_first_answer_only() -> list[Undo]:
    """Of several answers of one turn the model is told the first."""
    before = take_turns._next

    def first(tx: Transaction, former: Attempt, attempt: Attempt, now: int) -> Row:
        row = before(tx, former, attempt, now)
        return {**row, "items": json.dumps(json.loads(row["items"])[:1])}

    return swap(before, first)


def go_on_from_the_first_run() -> list[Undo]:
    """Each turn goes on from the job's first run instead of the one before."""
    before = take_turns._next

    def first(tx: Transaction, former: Attempt, attempt: Attempt, now: int) -> Row:
        run = tx.attempts(attempt.job_id)[0].provider_response_id
        return {**before(tx, former, attempt, now), "previous_response_id": run}

    return swap(before, first)


def upload_again_without_looking() -> list[Undo]:
    """An upload whose reply was lost is called lost, and made once more."""

    async def lost(ports: Ports, held: Held, copy: Row) -> None:
        now = ports.clock.now()
        changes = {"state": "lost", "due_at": now}
        await ports.store.write(lambda tx: tx.move_provider_file(copy["id"], ["unknown"], **changes))

    return swap(bring._find, lost)


def delete_files_in_use() -> list[Undo]:
    """A copy at the provider is deleted when its time comes, whoever reads it."""
    at, due = queries_files.bindparam, provider_files.c.due_at
    idle = select(provider_files).where(due <= at("now")).order_by(due).limit(at("n"))
    claim = update(provider_files).where(
        provider_files.c.id == at("at_id"), provider_files.c.state == at("at_state")
    )
    return put(queries_files, "IDLE_PROVIDER_FILES", idle) + put(
        queries_files, "CLAIM_IDLE_FILE", claim.values(state="deleting")
    )


def leave_files_at_the_provider() -> list[Undo]:
    """A copy is called deleted, and nobody asks the provider to delete it."""

    async def spared(self: Any, account: str, file_id: str) -> Missing:
        return Missing()

    return put(OpenAIProvider, "delete_file", spared)


# By the door behind which each is made: it is looked for where that door is open.
WIRE_MISTAKES: dict[str, tuple[Callable[[], list[Undo]], ...]] = {
    "live": (
        save_the_cursor_before_its_text,
        keep_text_without_its_cursor,
        begin_a_stream_anew,
        leave_the_text_of_a_lost_run,
    ),
    "hooks": (
        believe_an_event,
        adopt_without_looking_whose_it_is,
        drop_a_parked_event,
        ignore_a_second_purchase,
    ),
    "tools": (
        answer_calls_again,
        tell_the_first_answer_only,
        go_on_from_the_first_run,
    ),
    "files": (
        upload_again_without_looking,
        delete_files_in_use,
        leave_files_at_the_provider,
    ),
}

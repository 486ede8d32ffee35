"""The provider's signed events: stored once, answered, then worked off. A hint never says what happened.

A run we know is looked at. One we do not know is retrieved, and adopted if its own metadata names an attempt.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from backlane.core.notice import Notice
from backlane.core.outcome import Failed, Finished, Gone, LookOutcome, Pending, Unknown
from backlane.core.schedule import DAY, HOUR, SECOND
from backlane.core.storage import Transaction
from backlane.errors import BacklaneError
from backlane.service.adopt import Found, adopt, look_now, named_by
from backlane.service.alert import forget_second_purchases
from backlane.service.ports import Ports

Row = dict[str, Any]

AT_ONCE = 16
# 1 + 2 + 4 + … seconds: about an hour altogether.
TRIES = 12
# A run that was just made may not be found everywhere yet.
_TRIES_GONE = 4
_KEPT = 90 * DAY
_DROPPED_AT_ONCE = 1_000


async def keep_notices(ports: Ports, notices: Sequence[Notice]) -> None:
    """Store an event durably, once per account and id; a run that is waited for is looked at at once."""

    def body(tx: Transaction) -> tuple[bool, bool]:
        now, woken, left = ports.clock.now(), False, False
        for notice in notices:
            if not tx.keep_notice(notice, now):
                continue
            row = {"provider_account": notice.account, "webhook_id": notice.webhook_id}
            if notice.response_id is None:
                tx.settle_notice(row, "foreign", "it is not about a run", now)
                continue
            known = tx.attempt_of_response(notice.account, notice.response_id)
            if known is None:
                left = True
                continue
            tx.settle_notice(row, "applied", look_now(tx, known, now), now)
            woken = True
        return woken, left

    woken, left = await ports.store.write(body)
    ports.point("notice_kept")
    if woken:
        ports.notify()
    if left:
        ports.noticed()


def backoff(tries: int) -> int:
    """How long to wait after this many tries, milliseconds: 1, 2, 4 … seconds."""
    return SECOND << max(0, tries - 1)


class Inbox:
    """Works off stored events. Several workers may do so at once: a row is claimed before it is worked on."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._foreign = 0
        self._told_at: int | None = None
        self._tidied_at: int | None = None

    async def take_over(self) -> None:
        """Work on what a dead worker had claimed; only for the holder of an exclusive store."""
        now = self._ports.clock.now()
        await self._ports.store.write(lambda tx: tx.free_notices(now))

    async def work_off(self) -> int | None:
        """Work on what is due, with at most one retrieve a row; when the next row is due."""
        await self._tidy()
        now = self._ports.clock.now()
        due = await self._ports.store.read(lambda tx: tx.next_notice())
        if due is None or due > now:
            return due
        hold = self._ports.timings.call_timeout * 2

        def claim(tx: Transaction) -> list[Row]:
            return [row for row in tx.claim_notices(now, now + hold, AT_ONCE) if not self._known(tx, row)]

        unknown = await self._ports.store.write(claim)
        self._ports.notify()
        await asyncio.gather(*(self._one(row) for row in unknown))
        return await self._ports.store.read(lambda tx: tx.next_notice())

    def _known(self, tx: Transaction, row: Row) -> bool:
        """Whether a row could be dealt with from what is stored: its run is ours by now, or was retrieved before."""
        now = self._ports.clock.now()
        known = tx.attempt_of_response(row["provider_account"], row["response_id"])
        if known is not None:
            tx.settle_notice(row, "applied", look_now(tx, known, now), now)
            return True
        if row["attempt_id"] is None:
            return False
        self._adopt(tx, row, row["attempt_id"], "unknown")
        return True

    async def _one(self, row: Row) -> None:
        """One row's turn; what goes wrong with it stops no other."""
        ports = self._ports
        try:
            wait = ports.provider.look_wait(row["provider_account"])
            if wait > 0:
                at = ports.clock.now() + wait
                await ports.store.write(lambda tx: self._wait(tx, row, "capacity", at, row["tries"] - 1))
                return
            outcome = await self._asked(row)
            ports.point("notice_looked")
            foreign = await ports.store.write(lambda tx: self._judge(tx, row, outcome))
        except BacklaneError as error:
            ports.log(f"webhook {row['webhook_id']}: put off: {error}")
            return
        except Exception as error:
            ports.log(f"webhook {row['webhook_id']}: put off by {type(error).__name__}: {error}")
            return
        ports.notify()
        if foreign:
            self._tell_of_foreign()

    async def _asked(self, row: Row) -> LookOutcome:
        ports = self._ports
        try:
            async with asyncio.timeout(ports.timings.call_timeout * 1.5 / 1000):
                return await ports.provider.look(row["provider_account"], row["response_id"])
        except TimeoutError:
            return Unknown("timeout", "the provider did not answer in time")

    def _judge(self, tx: Transaction, row: Row, outcome: LookOutcome) -> bool:
        """Settle or park a row by what its retrieve said; whether its run turned out not to be ours."""
        match outcome:
            case Pending(status, _, metadata):
                pass
            case Finished(answer) | Failed(answer):
                # Its end is read by the look that follows, and kept there.
                status, metadata = "in_progress", answer.metadata
            case Gone():
                return self._later(tx, row, "the provider does not know it", _TRIES_GONE)
            case _:
                return self._later(tx, row, "the provider did not say", TRIES)
        named = named_by(tx, row["provider_account"], metadata)
        if named is None:
            tx.settle_notice(row, "foreign", "its metadata names nothing of ours", self._ports.clock.now())
            return True
        self._adopt(tx, row, named.id, status)
        return False

    def _adopt(self, tx: Transaction, row: Row, attempt_id: str, status: str) -> None:
        found = Found(row["provider_account"], row["response_id"], status)
        done = adopt(tx, self._ports, attempt_id, found)
        now = self._ports.clock.now()
        if done is None:
            at = now + backoff(row["tries"])
            tx.park_notice(row, "its create is still out", at, attempt_id=attempt_id, tries=row["tries"])
        else:
            tx.settle_notice(row, "applied", done, now)

    def _later(self, tx: Transaction, row: Row, why: str, at_most: int) -> bool:
        now = self._ports.clock.now()
        if row["tries"] >= at_most:
            tx.settle_notice(row, "foreign", f"given up: {why}", now)
            return True
        self._wait(tx, row, why, now + backoff(row["tries"]), row["tries"])
        return False

    def _wait(self, tx: Transaction, row: Row, why: str, at: int, tries: int) -> None:
        tx.park_notice(row, why, at, attempt_id=row["attempt_id"], tries=tries)

    def _tell_of_foreign(self) -> None:
        """One line an hour, however many events are about runs that are not ours."""
        now = self._ports.clock.now()
        self._foreign += 1
        if self._told_at is None or abs(now - self._told_at) >= HOUR:
            self._ports.log(f"{self._foreign} webhook events were about runs that are not ours")
            self._foreign, self._told_at = 0, now

    async def _tidy(self) -> None:
        """Once an hour: forget events long past, and alerts that have been read by now."""
        now = self._ports.clock.now()
        if self._tidied_at is not None and abs(now - self._tidied_at) < HOUR:
            return
        self._tidied_at = now
        dropped = _DROPPED_AT_ONCE
        while dropped == _DROPPED_AT_ONCE:
            dropped = await self._ports.store.write(lambda tx: tx.drop_notices(now - _KEPT, _DROPPED_AT_ONCE))
        await self._ports.store.write(lambda tx: forget_second_purchases(tx, now - DAY))

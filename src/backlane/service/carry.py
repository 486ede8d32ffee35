"""The product as an engine sees it: claim due jobs, advance batches of them, say when the next is due."""

import asyncio
import traceback
from collections.abc import Sequence
from pathlib import Path

from backlane.core.ports import Due
from backlane.core.storage import Transaction
from backlane.errors import BacklaneError, StoreError
from backlane.service.advance import advance
from backlane.service.ports import Ports
from backlane.service.situate import Held, situate

# A job that the store would not serve is tried again this much later, milliseconds.
_STORE_PAUSE = 1_000


class Carrier:
    """Implements the Core protocol over the ports.

    A job that lost a lease runs alone: nothing else is claimed until it is through, so that no
    neighbour is blamed if it stops its worker again.
    """

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._in_flight: dict[str, Due] = {}
        # Claims that no delivery has brought yet, and when their leases end: a delivery may be lost.
        self._expected: dict[Due, int] = {}
        # Leases to hand back once the store can be written again: they were not lost by their jobs.
        self._owed: list[Due] = []
        # What this process cannot go on after.
        self._fatal: MemoryError | None = None
        self._alone = False

    async def claim(self, n: int) -> Sequence[Due]:
        """Up to n due jobs, leased to this worker."""
        self._require_sound()
        now = self._ports.clock.now()
        busy = self._busy(now)
        if n <= 0 or (self._alone and busy):
            return []
        until = now + self._ports.timings.lease

        owed = list(self._owed)

        def body(tx: Transaction) -> tuple[list[Due], bool]:
            for due in owed:
                tx.give_back(due, now + _STORE_PAUSE)
            found = tx.due(now, n)
            suspects = [due.job_id for due, suspect in found if suspect]
            if suspects:
                # Let what is under way finish first, then take one suspect and nothing beside it.
                return ([], False) if busy else (tx.claim(suspects[:1], now, until), True)
            return (tx.claim([due.job_id for due, _ in found], now, until) if found else [], False)

        claimed, self._alone = await self._ports.store.write(body)
        self._owed = self._owed[len(owed) :]
        self._expected.update(dict.fromkeys(claimed, until))
        return claimed

    async def advance(self, batch: Sequence[Due]) -> None:
        """Take a batch by its lease numbers and carry each job on; a stale delivery finds nothing to do.

        A batch that the store would not give out is handed back and comes again.
        """
        try:
            taken = await self._ports.store.write(lambda tx: self._take(tx, batch))
            for held in taken:
                self._ports.streams.let_go(held.job.id)
                self._in_flight[held.job.id] = Due(held.job.id, held.lease_no)
        except StoreError as error:
            self._owed.extend(batch)
            self._ports.log(f"{len(batch)} jobs put off: {error}")
            return
        finally:
            for due in batch:
                self._expected.pop(due, None)
        async with asyncio.TaskGroup() as group:
            for held in taken:
                group.create_task(self._one(held))

    async def next_due(self) -> int | None:
        """When the next job is due, in milliseconds since 1970. Raises MemoryError once that has struck."""
        self._require_sound()
        if self._owed:
            return self._ports.clock.now()
        return await self._ports.store.read(lambda tx: tx.next_due())

    async def give_back(self) -> None:
        """Hand back every lease still held, so that somebody else goes on at once."""
        now = self._ports.clock.now()
        held = [*self._in_flight.values(), *self._owed]
        if held:
            await self._ports.store.write(lambda tx: [tx.give_back(due, now) for due in held])
            self._owed.clear()

    async def take_over(self) -> int:
        """End the leases of dead workers; only the holder of an exclusive store may call this."""
        now = self._ports.clock.now()
        return await self._ports.store.write(lambda tx: tx.end_leases(now))

    def _require_sound(self) -> None:
        """Out of memory once, anything may be half done in this process: another one goes on."""
        if self._fatal is not None:
            raise self._fatal

    def _busy(self, now: int) -> bool:
        """Whether jobs are under way, or claimed and still to be brought by the engine.

        One whose live stream is read may be at it for an hour, and does nothing that stops a worker.
        """
        lease = self._ports.timings.lease
        self._expected = {due: until for due, until in self._expected.items() if now < until <= now + lease}
        return bool(self._in_flight.keys() - self._ports.streams.listening() or self._expected)

    def _take(self, tx: Transaction, batch: Sequence[Due]) -> list[Held]:
        taken = [tx.take(due) for due in batch]
        return [situate(tx, self._ports, job) for job in taken if job is not None]

    async def _one(self, held: Held) -> None:
        """One job's turn; what goes wrong with it must not stop its neighbours."""
        try:
            await advance(self._ports, held)
        except (StoreError, OSError) as error:
            # The machine's trouble, not the job's: it must not count as a lost lease.
            self._owed.append(Due(held.job.id, held.lease_no))
            self._ports.log(f"job {held.job.id}: put off: {error}")
        except MemoryError as error:
            self._fatal = error
            self._ports.log(f"job {held.job.id}: this worker is out of memory and stops")
        except asyncio.CancelledError:
            # Stopped in the middle of long work, such as a tool: somebody else goes on at once.
            self._owed.append(Due(held.job.id, held.lease_no))
            raise
        except BacklaneError as error:
            self._ports.log(f"job {held.job.id}: put off: {error}")
        except Exception as error:
            # Its words may quote what somebody sent in.
            self._ports.log(f"job {held.job.id}: put off by {type(error).__name__}{_where(error)}")
        finally:
            # A later delivery of the same job may have taken it over from this one.
            if self._in_flight.get(held.job.id) == Due(held.job.id, held.lease_no):
                del self._in_flight[held.job.id]


def _where(error: BaseException) -> str:
    """Where in the code an error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""

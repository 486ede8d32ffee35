"""Keeping a job's lease for as long as some work takes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from backlane.core.ports import Due
from backlane.core.storage import Transaction
from backlane.service.ports import Ports
from backlane.service.situate import Held


@asynccontextmanager
async def renewed(ports: Ports, held: Held) -> AsyncGenerator[None]:
    """Keep the lease for as long as the work inside takes."""
    due = Due(held.job.id, held.lease_no)

    def keep(tx: Transaction) -> bool:
        return tx.renew(due, ports.clock.now() + ports.timings.lease)

    async def renew() -> None:
        while True:
            await ports.clock.sleep(ports.timings.lease // 3)
            await ports.store.write(keep)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)

"""The default engine: a dispatched batch is a task in this process."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from backlane.core.ports import Due


class Embedded:
    """Implements the Engine protocol with tasks. `idle` is called whenever room came free."""

    def __init__(self, idle: Callable[[], None]) -> None:
        self._idle = idle
        self._advance: Callable[[Sequence[Due]], Awaitable[None]] | None = None
        self._slots = 0
        self._tasks: dict[asyncio.Task[None], int] = {}

    async def serve(self, advance: Callable[[Sequence[Due]], Awaitable[None]], slots: int) -> None:
        """Take batches from now on, up to `slots` jobs at a time."""
        self._advance, self._slots = advance, slots

    async def dispatch(self, batch: Sequence[Due], drop_after: float) -> None:
        """Carry a batch; each job is a task of its own, so that a slow one holds no other."""
        for due in batch:
            task = asyncio.create_task(self._run(due))
            self._tasks[task] = 1
            task.add_done_callback(self._done)

    async def room(self) -> int:
        """How many more jobs can be carried now."""
        return max(0, self._slots - len(self._tasks))

    async def close(self, grace: float) -> None:
        """Wait up to `grace` seconds for what is under way, then stop it."""
        self._slots = 0
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=grace)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=5)

    async def _run(self, due: Due) -> None:
        assert self._advance is not None
        await self._advance([due])

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._idle()

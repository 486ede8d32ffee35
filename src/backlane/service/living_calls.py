"""Calls of actions whose time is over and that live on in this process: a thread, or a coroutine that will not stop.

They may still take effect. They are known only here, and end with the process.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from backlane.core.action import Action


class LivingCalls:
    """Who waits for the late word of which call, and since when a call that brought none is over."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Task[Any]] = {}
        self._over: dict[str, int] = {}

    def wait_for(self, action: Action, word: Coroutine[Any, Any, int | None]) -> None:
        """Wait for this call's late word; `word` answers when it ended without one, None where it brought one."""
        task = asyncio.create_task(word)
        self._waiting[action.id] = task
        task.add_done_callback(lambda done: self._ended(action.id, done))

    def _ended(self, action_id: str, task: asyncio.Task[int | None]) -> None:
        self._waiting.pop(action_id, None)
        over = None if task.cancelled() else task.result()
        if over is not None:
            self._over[action_id] = over

    def may_act(self, action: Action, now: int, slack: int) -> bool:
        """Whether this call may still take effect: it lives, or what it sent last may be on its way."""
        if action.id in self._waiting:
            return True
        over = self._over.get(action.id)
        if over is not None and now >= over + action.timeout + slack:
            del self._over[action.id]
            return False
        return over is not None

    async def let_go(self) -> None:
        """Wait for none of them any more: the process ends, and they with it."""
        waiting = list(self._waiting.values())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

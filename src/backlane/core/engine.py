"""The product as an engine sees it, and an engine as the product sees it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from backlane.core.ports import Due


class Core(Protocol):
    """The product as an engine sees it."""

    async def claim(self, n: int) -> Sequence[Due]: ...

    async def advance(self, batch: Sequence[Due]) -> None: ...

    async def next_due(self) -> int | None: ...


class Engine(Protocol):
    """Carries batches of ids of due jobs; owns no state, no time, no status."""

    async def serve(self, advance: Callable[[Sequence[Due]], Awaitable[None]], slots: int) -> None: ...

    async def dispatch(self, batch: Sequence[Due], drop_after: float) -> None: ...

    async def room(self) -> int: ...

    async def close(self, grace: float) -> None: ...

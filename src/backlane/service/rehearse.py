"""Carrying a verb out and taking it back: what would become of it, told by the very code that does it."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from backlane.core.storage import Store, Transaction
from backlane.service.ports import Ports

T = TypeVar("T")


class _TakenBack(Exception):
    """Ends a transaction that is not to be kept."""


class Rehearsal:
    """A Store of which nothing is kept: each write runs whole, raises what it would raise, and is rolled back."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def write(self, body: Callable[[Transaction], T]) -> T:
        """What the body answers."""
        told: list[T] = []

        def tried(tx: Transaction) -> None:
            told.append(body(tx))
            raise _TakenBack

        with suppress(_TakenBack):
            await self._store.write(tried)
        return told[-1]

    async def read(self, body: Callable[[Transaction], T]) -> T:
        """Run the body on one snapshot."""
        return await self._store.read(body)


def rehearsing(ports: Ports) -> Ports:
    """The same outside, where nothing is kept and nobody is told."""
    quiet = {"notify": _nobody, "noticed": _nobody, "log": _nothing, "point": _nothing}
    return replace(ports, store=Rehearsal(ports.store), **quiet)


def _nobody() -> None:
    return None


def _nothing(_: str) -> None:
    return None

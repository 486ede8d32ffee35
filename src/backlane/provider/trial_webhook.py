"""The part of a trial that hears a webhook: an endpoint for its own run only, its signature, and what it says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from backlane.core.outcome import Refused
from backlane.core.ports import Clock
from backlane.provider.calling import Calls
from backlane.provider.registration import Registered, register
from backlane.provider.replies import Reply
from backlane.provider.webhooks import is_genuine, read_event, signing_key


@dataclass(frozen=True, slots=True)
class Delivery:
    """What was sent to the ear: lower-case headers, and the bytes as they came."""

    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Ear(Protocol):
    """Where deliveries arrive while a trial runs; `url` is the address that the provider is told."""

    url: str

    async def next(self, until: int) -> Delivery | None:
        """The next one that was sent here; None when none came until then, milliseconds since 1970."""
        ...


@dataclass(frozen=True, slots=True)
class Deaf(Exception):
    """No delivery could be tried or heard, and why."""

    why: str


async def open_endpoint(calls: Calls, account: str, ear: Ear, now: int) -> Registered:
    """An endpoint at the provider for the ear. Raises Deaf where it makes none."""
    made = await register(calls, account, ear.url, now)
    if isinstance(made, Registered):
        return made
    raise Deaf(made.code if isinstance(made, Refused) else made.message)


async def heard(ear: Ear, endpoint: Registered, run: str, clock: Clock, patience: int) -> dict[str, str]:
    """Wait for the word of this run's end, and say what it was; others' words are passed over.

    Raises Deaf when none came within `patience`, milliseconds.
    """
    until, forged = clock.now() + patience, 0
    keys = [signing_key(endpoint.secret)]
    while (delivery := await ear.next(until)) is not None:
        told = read_event(delivery.body)
        if told is None or told[1] != run:
            continue
        if is_genuine(delivery.body, delivery.headers, keys, clock.now()):
            return {"webhook_event": told[0], "webhook_signature": "genuine"}
        forged += 1
    if forged:
        raise Deaf(f"{forged} came whose signature the endpoint's secret did not make")
    raise Deaf(f"none came to {ear.url} within {patience // 1000} s")


async def close_endpoint(calls: Calls, account: str, endpoint: Registered) -> None:
    """Take the endpoint away again. Raises Deaf where that was refused: somebody has to do it by hand."""
    reply = await calls.call(account, "DELETE", f"/webhook_endpoints/{endpoint.endpoint_id}")
    if not isinstance(reply, Reply) or not reply.ok:
        raise Deaf("the endpoint named backlane could not be deleted: delete it by hand")

"""Webhooks over real HTTP, to this machine only unless a switch says otherwise. Redirects are not followed."""

import asyncio
import ipaddress
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from backlane.simulator.switches import Switches

# Sends one delivery: URL, headers, body. Answers the status; None when there was no answer.
Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[int | None]]

# What follows a body without end: so many bytes, so often (seconds).
_CHUNK = 4096
_PAUSE = 0.002


def is_near(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _without_end(body: bytes, patience: float) -> AsyncIterator[bytes]:
    """The body, and blanks behind it for as long as they are taken; raises TimeoutError when patience ends."""
    yield body
    until = time.monotonic() + patience
    while time.monotonic() < until:
        yield b" " * _CHUNK
        await asyncio.sleep(_PAUSE)
    raise TimeoutError("nobody stopped it")


class HttpDelivery:
    """The usual way out: one client for all deliveries."""

    def __init__(self, switches: Callable[[], Switches]) -> None:
        self._switches = switches
        self._client: Any = None

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int | None:
        """Post it, and wait no longer than the switch says."""
        # Most simulators never send a webhook; they start without a client.
        import httpx2

        switches = self._switches()
        if not (is_near(url) or switches.webhooks_anywhere):
            return None
        if self._client is None:
            limits = httpx2.Limits(max_connections=200, max_keepalive_connections=50)
            self._client = httpx2.AsyncClient(trust_env=False, limits=limits)
        timeout = httpx2.Timeout(switches.webhook_timeout_seconds, pool=None)
        try:
            whole = headers.get("transfer-encoding") != "chunked"
            content = body if whole else _without_end(body, switches.webhook_timeout_seconds)
            answer = await self._client.post(url, content=content, headers=dict(headers), timeout=timeout)
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError):
            return None
        return answer.status_code

    async def close(self) -> None:
        """Let go of its connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

"""Asking the API as somebody: a client with a fresh key, over the real application."""

import contextlib
from collections.abc import AsyncIterator

import httpx2

from tests.conftest import Place


@contextlib.asynccontextmanager
async def asking(
    place: Place, name: str = "ana", role: str = "submitter", workspace: str = "main"
) -> AsyncIterator[httpx2.AsyncClient]:
    """An HTTP client with this person's key."""
    headers = {"Authorization": f"Bearer {await place.key(name, role, workspace)}"}
    transport = httpx2.ASGITransport(app=place.app())
    async with httpx2.AsyncClient(transport=transport, base_url="http://x/v1", headers=headers) as http:
        yield http

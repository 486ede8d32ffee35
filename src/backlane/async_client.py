"""The client for asyncio: the request builder's other face, method by method the same."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from backlane.asking import (
    TRIES,
    WATCH_TRIES,
    Ask,
    EventLines,
    FileHandle,
    JobHandle,
    Patience,
    Target,
    awaited_pieces,
    content_request,
    events_request,
    is_done,
    is_over,
    job_request,
    message_request,
    result_id,
    retry_request,
    service_error,
    submit_request,
    upload_request,
)
from backlane.asking_case import AsyncCaring
from backlane.asking_review import AsyncReviewing
from backlane.errors import ServiceError, WaitTimeout

if TYPE_CHECKING:
    import httpx2

_PAUSE = 0.25


class AsyncClient(AsyncCaring, AsyncReviewing):
    """The same as Client, for asyncio. Use it as an async context manager."""

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        import httpx2

        self._target = Target(url, api_key)
        self._http = httpx2.AsyncClient(**self._target.options())

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def submit(
        self,
        type: str,  # noqa: A002 - the contract's name
        inputs: Any,
        *,
        idempotency_key: str | None = None,
        wait: float = 0,
        **options: Any,
    ) -> JobHandle:
        """Submit a job; see Client.submit."""
        ask = submit_request(type, inputs, idempotency_key, wait, options)
        return JobHandle(await self._patiently(ask, 3))

    async def upload(
        self, source: str | Path | bytes, *, name: str | None = None, media_type: str | None = None
    ) -> FileHandle:
        """Send in a file; see Client.upload."""
        return FileHandle(await self._patiently(upload_request(source, name, media_type), 3))

    async def get(self, job_id: str) -> JobHandle:
        """One job, with its result's text once it has one."""
        job = (await self._send(job_request(job_id))).json()
        artifact = result_id(job)
        return JobHandle(job, None if artifact is None else (await self.content(artifact)).decode())

    async def cancel(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Stop a job."""
        return JobHandle((await self._send(job_request(job_id, "cancel", {"reason": reason}))).json())

    async def retry(
        self,
        job_id: str,
        *,
        from_: Literal["start", "partial"] | None = None,
        lane: str | None = None,
        inputs: Any = None,
        useful_until: datetime | str | None = None,
    ) -> JobHandle:
        """A new job in place of one that ended; see Client.retry."""
        ask = retry_request(job_id, from_, lane, inputs, useful_until)
        return JobHandle((await self._send(ask)).json())

    async def resolve(self, job_id: str, choice: str, **options: Any) -> JobHandle:
        """Settle an unknown submission: run_again, give_up or attach."""
        ask = job_request(job_id, "resolve", {"choice": choice, **options})
        return JobHandle((await self._send(ask)).json())

    async def message(self, job_id: str, text: str, *, idempotency_key: str | None = None) -> JobHandle:
        """Say something to a job; see Client.message."""
        return JobHandle(await self._patiently(message_request(job_id, text, idempotency_key), 3))

    async def content(self, artifact_id: str) -> bytes:
        """An artifact's bytes."""
        return (await self._send(content_request(artifact_id))).content

    async def wait(
        self,
        job_id: str,
        timeout: float = 600,  # noqa: ASYNC109 - the contract's name, and the job is not canceled by it
        until: Literal["review", "terminal"] = "review",
    ) -> JobHandle:
        """The job at a terminal status or needs_review; see Client.wait. Raises WaitTimeout."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + timeout
        while True:
            job = await self._patiently(job_request(job_id))
            if is_done(job, until):
                return await self.get(job_id)
            if loop.time() >= give_up:
                raise WaitTimeout(f"job {job_id} is still {job['status']} after {timeout:g} s")
            await asyncio.sleep(_PAUSE)

    async def watch(self, job_id: str, *, after: int = 0) -> AsyncGenerator[dict[str, Any]]:
        """A job's events as they come, each once and in order; see Client.watch."""
        patience = Patience(WATCH_TRIES)
        while True:
            try:
                async for event in self._events(events_request(job_id, after)):
                    after = patience.renewed(event["seq"])
                    yield event
                if is_over((await self._send(job_request(job_id))).json(), after):
                    return
            except ServiceError as error:
                patience.spend(error)
            await asyncio.sleep(_PAUSE)

    async def _events(self, ask: Ask) -> AsyncGenerator[dict[str, Any]]:
        import httpx2

        lines = EventLines()
        opened = self._http.stream(ask.method, ask.path, params=ask.query, headers=ask.headers)
        try:
            async with opened as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise service_error(response)
                async for chunk in response.aiter_bytes():
                    for event in lines.feed(chunk):
                        yield event
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error

    async def _send(self, ask: Ask) -> "httpx2.Response":
        import httpx2

        content = None if ask.content is None else awaited_pieces(ask.content)
        try:
            response = await self._http.request(
                ask.method, ask.path, json=ask.body, content=content, params=ask.query, headers=ask.headers
            )
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error
        if response.status_code >= 400:
            raise service_error(response)
        return response

    async def _patiently(self, ask: Ask, tries: int = TRIES) -> Any:
        patience = Patience(tries)
        while True:
            try:
                return (await self._send(ask)).json()
            except ServiceError as error:
                patience.spend(error)
            await asyncio.sleep(_PAUSE)

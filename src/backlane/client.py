"""Client and AsyncClient: one request builder, two faces. A client never loses or doubles an event."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from backlane.asking import (
    ENDED,
    Ask,
    JobHandle,
    Target,
    content_request,
    events_request,
    is_done,
    job_request,
    message_request,
    result_id,
    service_error,
    submit_request,
)
from backlane.errors import ServiceError, ServiceUnreachable, WaitTimeout

if TYPE_CHECKING:
    import httpx2

_TRIES = 40
_PAUSE = 0.25


class Client:
    """The blocking client. Use it as a context manager.

    `url` and `api_key` default to BACKLANE_URL and BACKLANE_API_KEY. Raises ServiceError for an answer
    that is not success, ServiceUnreachable when nobody answers.
    """

    def __init__(self, url: str | None = None, api_key: str | None = None) -> None:
        import httpx2

        self._target = Target(url, api_key)
        self._http = httpx2.Client(**self._target.options())

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        """Any other route: the decoded JSON."""
        return self._send(Ask(method, path, body, query)).json()

    def submit(
        self,
        type: str,  # noqa: A002 - the contract's name
        inputs: Any,
        *,
        idempotency_key: str | None = None,
        wait: float = 0,
        **options: Any,
    ) -> JobHandle:
        """Submit a job; `inputs` is a dict or a pydantic model. A repeated key makes no second job.

        Without a key one is made, so that a lost reply is safe to ask for again: this is done here.
        """
        ask = submit_request(type, inputs, idempotency_key, wait, options)
        return JobHandle(self._patiently(lambda: self._send(ask).json(), 3))

    def get(self, job_id: str) -> JobHandle:
        """One job, with its result's text once it has one."""
        return self._with_text(self._send(job_request(job_id)).json())

    def cancel(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Stop a job."""
        return JobHandle(self._send(job_request(job_id, "cancel", {"reason": reason})).json())

    def retry(self, job_id: str, **options: Any) -> JobHandle:
        """A new job in place of one that ended."""
        return JobHandle(self._send(job_request(job_id, "retry", options)).json())

    def resolve(self, job_id: str, choice: str, **options: Any) -> JobHandle:
        """Settle an unknown submission: run_again, give_up or attach."""
        return JobHandle(self._send(job_request(job_id, "resolve", {"choice": choice, **options})).json())

    def message(self, job_id: str, text: str, *, idempotency_key: str | None = None) -> JobHandle:
        """Say something to a job: the job that goes on with it, a new one where it had ended."""
        ask = message_request(job_id, text, idempotency_key)
        return JobHandle(self._patiently(lambda: self._send(ask).json(), 3))

    def content(self, artifact_id: str) -> bytes:
        """An artifact's bytes."""
        return self._send(content_request(artifact_id)).content

    def wait(
        self, job_id: str, timeout: float = 600, until: Literal["review", "terminal"] = "review"
    ) -> JobHandle:
        """The job at a terminal status or needs_review; `until="terminal"` waits for the decision too.

        `timeout` is in seconds; raises WaitTimeout after it, and the job goes on.
        """
        give_up = time.monotonic() + timeout
        while True:
            job = self._patiently(lambda: self._send(job_request(job_id)).json())
            if is_done(job, until):
                return self._with_text(job)
            if time.monotonic() >= give_up:
                raise WaitTimeout(f"job {job_id} is still {job['status']} after {timeout:g} s")
            time.sleep(_PAUSE)

    def watch(self, job_id: str, *, after: int = 0) -> Generator[dict[str, Any]]:
        """A job's events, each once and in order, until it is terminal; reconnects by itself."""
        while True:
            ask = events_request(job_id, after)
            page = self._patiently(lambda ask=ask: self._send(ask).json()["data"])
            for event in page:
                after = event["seq"]
                yield event
            if page:
                continue
            job = self._patiently(lambda: self._send(job_request(job_id)).json())
            if job["status"] in ENDED and job["progress"]["seq"] == after:
                return
            time.sleep(_PAUSE)

    def _with_text(self, job: Mapping[str, Any]) -> JobHandle:
        artifact = result_id(job)
        return JobHandle(job, None if artifact is None else self.content(artifact).decode())

    def _send(self, ask: Ask) -> "httpx2.Response":
        import httpx2

        try:
            response = self._http.request(
                ask.method, ask.path, json=ask.body, params=ask.query, headers=ask.headers
            )
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error
        if response.status_code >= 400:
            raise service_error(response)
        return response

    def _patiently(self, ask: Callable[[], Any], tries: int = _TRIES) -> Any:
        """A service that restarts is not an error to someone who waits."""
        while True:
            tries -= 1
            try:
                return ask()
            except ServiceError as error:
                if tries <= 0 or not _passing(error):
                    raise
            time.sleep(_PAUSE)


def _passing(error: ServiceError) -> bool:
    """Whether the same request may well succeed in a moment."""
    return isinstance(error, ServiceUnreachable) or error.status in (502, 503)


class AsyncClient:
    """The same for asyncio. Use it as an async context manager."""

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

    async def get(self, job_id: str) -> JobHandle:
        """One job, with its result's text once it has one."""
        job = (await self._send(job_request(job_id))).json()
        artifact = result_id(job)
        return JobHandle(job, None if artifact is None else (await self.content(artifact)).decode())

    async def cancel(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Stop a job."""
        return JobHandle((await self._send(job_request(job_id, "cancel", {"reason": reason}))).json())

    async def retry(self, job_id: str, **options: Any) -> JobHandle:
        """A new job in place of one that ended."""
        return JobHandle((await self._send(job_request(job_id, "retry", options))).json())

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
        """A job's events, each once and in order, until it is terminal; reconnects by itself."""
        while True:
            page = (await self._patiently(events_request(job_id, after)))["data"]
            for event in page:
                after = event["seq"]
                yield event
            if page:
                continue
            job = await self._patiently(job_request(job_id))
            if job["status"] in ENDED and job["progress"]["seq"] == after:
                return
            await asyncio.sleep(_PAUSE)

    async def _send(self, ask: Ask) -> "httpx2.Response":
        import httpx2

        try:
            response = await self._http.request(
                ask.method, ask.path, json=ask.body, params=ask.query, headers=ask.headers
            )
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error
        if response.status_code >= 400:
            raise service_error(response)
        return response

    async def _patiently(self, ask: Ask, tries: int = _TRIES) -> Any:
        while True:
            tries -= 1
            try:
                return (await self._send(ask)).json()
            except ServiceError as error:
                if tries <= 0 or not _passing(error):
                    raise
            await asyncio.sleep(_PAUSE)

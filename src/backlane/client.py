"""The blocking client: the request builder's one face. A client never loses or doubles an event."""

import time
from collections.abc import Callable, Generator, Mapping
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
    content_request,
    events_request,
    is_done,
    is_over,
    job_request,
    message_request,
    pieces,
    result_id,
    retry_request,
    service_error,
    submit_request,
    upload_request,
)
from backlane.asking_case import Caring
from backlane.asking_review import Reviewing
from backlane.errors import ServiceError, WaitTimeout

if TYPE_CHECKING:
    import httpx2

_PAUSE = 0.25


class Client(Caring, Reviewing):
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

    def upload(
        self, source: str | Path | bytes, *, name: str | None = None, media_type: str | None = None
    ) -> FileHandle:
        """Send in a file, a path or its bytes; its `id` is what a `File` input takes.

        Raises ServiceError with the reason for one that the service does not take.
        """
        ask = upload_request(source, name, media_type)
        return FileHandle(self._patiently(lambda: self._send(ask).json(), 3))

    def get(self, job_id: str) -> JobHandle:
        """One job, with its result's text once it has one."""
        return self._with_text(self._send(job_request(job_id)).json())

    def cancel(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Stop a job."""
        return JobHandle(self._send(job_request(job_id, "cancel", {"reason": reason})).json())

    def retry(
        self,
        job_id: str,
        *,
        from_: Literal["start", "partial"] | None = None,
        lane: str | None = None,
        inputs: Any = None,
        useful_until: datetime | str | None = None,
    ) -> JobHandle:
        """A new job in place of one that ended, or the one that was made before; what is left out stays as it was.

        `from_="partial"` gives the model the unfinished answer that the job kept. `useful_until` is a datetime
        with its zone, or an RFC 3339 string.
        """
        ask = retry_request(job_id, from_, lane, inputs, useful_until)
        return JobHandle(self._send(ask).json())

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
        """A job's events as they come, each once and in order, until it is terminal; reconnects by itself."""
        patience = Patience(WATCH_TRIES)
        while True:
            try:
                for event in self._events(events_request(job_id, after)):
                    after = patience.renewed(event["seq"])
                    yield event
                if is_over(self._send(job_request(job_id)).json(), after):
                    return
            except ServiceError as error:
                patience.spend(error)
            time.sleep(_PAUSE)

    def _events(self, ask: Ask) -> Generator[dict[str, Any]]:
        import httpx2

        lines = EventLines()
        try:
            with self._http.stream(ask.method, ask.path, params=ask.query, headers=ask.headers) as response:
                if response.status_code >= 400:
                    response.read()
                    raise service_error(response)
                for chunk in response.iter_bytes():
                    yield from lines.feed(chunk)
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error

    def _with_text(self, job: Mapping[str, Any]) -> JobHandle:
        artifact = result_id(job)
        return JobHandle(job, None if artifact is None else self.content(artifact).decode())

    def _send(self, ask: Ask) -> "httpx2.Response":
        import httpx2

        content = None if ask.content is None else pieces(ask.content)
        try:
            response = self._http.request(
                ask.method, ask.path, json=ask.body, content=content, params=ask.query, headers=ask.headers
            )
        except httpx2.TransportError as error:
            raise self._target.unreachable(error) from error
        if response.status_code >= 400:
            raise service_error(response)
        return response

    def _patiently(self, ask: Callable[[], Any], tries: int = TRIES) -> Any:
        """A service that restarts is not an error to someone who waits."""
        patience = Patience(tries)
        while True:
            try:
                return ask()
            except ServiceError as error:
                patience.spend(error)
            time.sleep(_PAUSE)

"""The one request builder behind both clients: what is asked, how answers read. It sends nothing."""

import json
import os
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from backlane.errors import ServiceError, ServiceUnreachable

if TYPE_CHECKING:
    import httpx2
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
_PIECE = 262_144
ENDED = frozenset({"completed", "failed", "canceled", "expired"})


@dataclass(frozen=True, slots=True)
class JobHandle:
    """A Job as the service answered it. `data` is the whole of it; `text` the result's content, if read."""

    data: Mapping[str, Any]
    text: str | None = None

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.data["id"])

    @property
    def status(self) -> str:
        """One of the seven statuses."""
        return str(self.data["status"])

    def result(self, model: type[M]) -> M:
        """The result as its model. Raises ServiceError if the job has none that you may read."""
        if self.text is None:
            raise ServiceError(f"job {self.id} is {self.status} and has no result to read")
        return model.model_validate_json(self.text)


@dataclass(frozen=True, slots=True)
class FileHandle:
    """An uploaded file as the service answered it; its `id` is what a `File` input takes."""

    data: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The file's id, `art_…`."""
        return str(self.data["id"])


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, for either face."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None
    content: Path | bytes | None = None


def submit_request(
    type_name: str, inputs: Any, key: str | None, wait: float, options: Mapping[str, Any]
) -> Ask:
    dump = getattr(inputs, "model_dump", None)
    body = {"type": type_name, "inputs": dump(mode="json") if dump else inputs, **options}
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    if wait > 0:
        headers["Prefer"] = f"wait={int(min(25, wait))}"
    return Ask("POST", "/v1/jobs", body, headers=headers)


def job_request(job_id: str, verb: str = "", body: Mapping[str, Any] | None = None) -> Ask:
    tail = f"/{verb}" if verb else ""
    return Ask(
        "POST" if verb and body is not None else "GET", f"/v1/jobs/{quote(job_id, safe='')}{tail}", body
    )


def retry_request(
    job_id: str, from_: str | None, lane: str | None, inputs: Any, useful_until: datetime | str | None
) -> Ask:
    """A job to be made again; what is left out stays as it was."""
    dump = getattr(inputs, "model_dump", None)
    until = useful_until.isoformat() if isinstance(useful_until, datetime) else useful_until
    given = {"from": from_, "lane": lane, "inputs": dump(mode="json") if dump else inputs}
    body = {name: value for name, value in {**given, "useful_until": until}.items() if value is not None}
    return job_request(job_id, "retry", body)


def message_request(job_id: str, text: str, key: str | None) -> Ask:
    """Words for a job; with a key they can be sent again and are said once."""
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return Ask("POST", f"/v1/jobs/{quote(job_id, safe='')}/messages", {"text": text}, headers=headers)


def events_request(job_id: str, after: int) -> Ask:
    """A job's events after a number, as an event stream."""
    path = f"/v1/jobs/{quote(job_id, safe='')}/events"
    return Ask("GET", path, query={"after": str(after)}, headers={"Accept": "text/event-stream"})


class EventLines:
    """Events out of an event stream's bytes, as they come; one that is not whole is none."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[dict[str, Any]]:
        """The events that this piece ends."""
        *whole, self._rest = (self._rest + chunk).split(b"\n\n")
        found = [[line[6:] for line in one.split(b"\n") if line.startswith(b"data: ")] for one in whole]
        return [json.loads(b"\n".join(lines)) for lines in found if lines]


TRIES = 40
# Who watches waits a minute for a service that restarts.
WATCH_TRIES = 240


class Patience:
    """How often a service that restarts is asked again: it is no error to someone who waits."""

    def __init__(self, tries: int = TRIES) -> None:
        self._tries = self._left = tries

    def renewed(self, seq: int) -> int:
        """The service answered, with this event: it may restart as often again."""
        self._left = self._tries
        return seq

    def spend(self, error: ServiceError) -> None:
        """One try went in vain. Raises the error after the last, and where the next would go the same way."""
        self._left -= 1
        passing = isinstance(error, ServiceUnreachable) or error.status in (502, 503)
        if self._left <= 0 or not passing:
            raise error


def is_over(job: Mapping[str, Any], after: int) -> bool:
    """Whether a job has ended and its event of this number is its last."""
    return job["status"] in ENDED and job["progress"]["seq"] <= after


def service_error(response: "httpx2.Response") -> ServiceError:
    try:
        body: Any = json.loads(response.content)
    except ValueError:
        body = {}
    problem: dict[str, Any] = cast(dict[str, Any], body) if isinstance(body, dict) else {}
    detail = problem.get("detail") or f"the service answered {response.status_code}"
    return ServiceError(str(detail), status=response.status_code, problem=problem)


def result_id(job: Mapping[str, Any]) -> str | None:
    results = [row["id"] for row in job["artifacts"] if row["kind"] == "result" and row["sha256"]]
    return results[-1] if results and job["status"] == "completed" else None


def is_done(job: Mapping[str, Any], until: str) -> bool:
    return job["status"] in ENDED or (until != "terminal" and job["status"] == "needs_review")


class Target:
    """Where to and as whom, from arguments or the environment."""

    def __init__(self, url: str | None, api_key: str | None) -> None:
        self.url = (url or os.environ.get("BACKLANE_URL") or "http://127.0.0.1:8321").rstrip("/")
        key = api_key or os.environ.get("BACKLANE_API_KEY") or ""
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def options(self) -> dict[str, Any]:
        """What the HTTP client is made with."""
        return {"base_url": self.url, "headers": self.headers, "timeout": 35.0, "trust_env": False}

    def unreachable(self, error: Exception) -> ServiceUnreachable:
        """The error of a service that does not answer."""
        return ServiceUnreachable(
            f"nobody answers at {self.url} ({type(error).__name__}); start the service or set BACKLANE_URL"
        )


def content_request(artifact_id: str) -> Ask:
    """An artifact's bytes."""
    return Ask("GET", f"/v1/artifacts/{quote(artifact_id, safe='')}/content")


def upload_request(source: "str | Path | bytes", name: str | None, media_type: str | None) -> Ask:
    """A file on its way in. Raises ServiceError for one that cannot be read."""
    if isinstance(source, bytes):
        content, size = source, len(source)
    else:
        content = Path(source)
        try:
            size = content.stat().st_size
        except OSError as error:
            raise ServiceError(f"cannot read {content}: {error.strerror}") from None
        name = name or content.name
    headers = {"Content-Length": str(size), "Content-Type": media_type or "application/octet-stream"}
    return Ask("POST", "/v1/files", query={"name": name} if name else None, headers=headers, content=content)


def pieces(content: "Path | bytes") -> Iterator[bytes]:
    """A file's bytes, some at a time, read anew at each asking. Raises ServiceError."""
    if isinstance(content, bytes):
        yield content
        return
    try:
        with content.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece
    except OSError as error:
        raise ServiceError(f"cannot read {content}: {error.strerror}") from None


async def awaited_pieces(content: "Path | bytes") -> AsyncIterator[bytes]:
    """The same for asyncio."""
    for piece in pieces(content):
        yield piece

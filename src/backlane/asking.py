"""The one request builder behind both clients: what is asked, how answers read. It sends nothing."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote

from backlane.errors import ServiceError, ServiceUnreachable

if TYPE_CHECKING:
    import httpx2
    from pydantic import BaseModel

M = TypeVar("M", bound="BaseModel")
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
class Ask:
    """One request, for either face."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] | None = None
    headers: Mapping[str, str] | None = None


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


def message_request(job_id: str, text: str, key: str | None) -> Ask:
    """Words for a job; with a key they can be sent again and are said once."""
    headers = {"Idempotency-Key": key or str(uuid.uuid4())}
    return Ask("POST", f"/v1/jobs/{quote(job_id, safe='')}/messages", {"text": text}, headers=headers)


def events_request(job_id: str, after: int) -> Ask:
    return Ask(
        "GET", f"/v1/jobs/{quote(job_id, safe='')}/events", query={"after": str(after), "limit": "200"}
    )


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

"""What a client asks about looking after jobs: one builder of requests, two faces that send them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import quote

from backlane.asking import Ask, JobHandle, job_request


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def note_request(job_id: str, text: str, for_requester: bool) -> Ask:
    return job_request(job_id, "notes", {"text": text, "for_requester": for_requester})


def open_case_request(job_id: str, reason: str, notes: str | None) -> Ask:
    return Ask("POST", "/v1/cases", _given(job=job_id, reason=reason, notes=notes))


def case_request(case_id: str, changes: Mapping[str, Any]) -> Ask:
    path = f"/v1/cases/{quote(case_id, safe='')}"
    return Ask("PATCH", path, changes) if changes else Ask("GET", path)


def bulk_request(action: str, reason: str, ids: Sequence[str] | None, options: Mapping[str, Any]) -> Ask:
    body = {"action": action, "reason": reason, **_given(ids=None if ids is None else list(ids)), **options}
    return Ask("POST", "/v1/jobs/bulk", body)


class _Answer(Protocol):
    def json(self) -> Any: ...


class Caring:
    """The blocking face. Each raises ServiceError for an answer that is not success."""

    def _send(self, ask: Ask) -> _Answer:
        raise NotImplementedError

    def escalate(self, job_id: str, reason: str, to: str | None = None) -> JobHandle:
        """Hand a review on, open a case for what failed or expired, or flag the job for operators."""
        return JobHandle(self._send(job_request(job_id, "escalate", _given(reason=reason, to=to))).json())

    def archive(self, job_id: str) -> JobHandle:
        """Hide an ended job from default lists."""
        return JobHandle(self._send(job_request(job_id, "archive", {})).json())

    def unarchive(self, job_id: str) -> JobHandle:
        """Show it in default lists again."""
        return JobHandle(self._send(job_request(job_id, "unarchive", {})).json())

    def mark_sensitive(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Say that an open job is sensitive: what it writes from then on is reviewed before it is released."""
        return JobHandle(self._send(job_request(job_id, "sensitive", _given(reason=reason))).json())

    def hold(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Put a legal hold on a job: retention waits."""
        return JobHandle(self._send(job_request(job_id, "hold", _given(reason=reason))).json())

    def release(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Lift a legal hold."""
        return JobHandle(self._send(job_request(job_id, "release", _given(reason=reason))).json())

    def note(self, job_id: str, text: str, *, for_requester: bool = False) -> dict[str, Any]:
        """Note something about a job; the note."""
        return self._send(note_request(job_id, text, for_requester)).json()

    def open_case(self, job_id: str, reason: str, notes: str | None = None) -> dict[str, Any]:
        """Open a case for a job, or get the one that is open."""
        return self._send(open_case_request(job_id, reason, notes)).json()

    def case(self, case_id: str, **changes: Any) -> dict[str, Any]:
        """One case, after these changes: owner, promise, promise_by, state, notes, for_requester."""
        return self._send(case_request(case_id, changes)).json()

    def bulk(
        self, action: str, reason: str, ids: Sequence[str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """One verb over many jobs, by ids or `filter`; what became of each. `dry_run=True` only says."""
        return self._send(bulk_request(action, reason, ids, options)).json()


class AsyncCaring:
    """The same for asyncio."""

    async def _send(self, ask: Ask) -> _Answer:
        raise NotImplementedError

    async def escalate(self, job_id: str, reason: str, to: str | None = None) -> JobHandle:
        """Hand a review on, open a case for what failed or expired, or flag the job for operators."""
        ask = job_request(job_id, "escalate", _given(reason=reason, to=to))
        return JobHandle((await self._send(ask)).json())

    async def archive(self, job_id: str) -> JobHandle:
        """Hide an ended job from default lists."""
        return JobHandle((await self._send(job_request(job_id, "archive", {}))).json())

    async def unarchive(self, job_id: str) -> JobHandle:
        """Show it in default lists again."""
        return JobHandle((await self._send(job_request(job_id, "unarchive", {}))).json())

    async def mark_sensitive(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Say that an open job is sensitive: what it writes from then on is reviewed before it is released."""
        return JobHandle((await self._send(job_request(job_id, "sensitive", _given(reason=reason)))).json())

    async def hold(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Put a legal hold on a job: retention waits."""
        return JobHandle((await self._send(job_request(job_id, "hold", _given(reason=reason)))).json())

    async def release(self, job_id: str, reason: str | None = None) -> JobHandle:
        """Lift a legal hold."""
        return JobHandle((await self._send(job_request(job_id, "release", _given(reason=reason)))).json())

    async def note(self, job_id: str, text: str, *, for_requester: bool = False) -> dict[str, Any]:
        """Note something about a job; the note."""
        return (await self._send(note_request(job_id, text, for_requester))).json()

    async def open_case(self, job_id: str, reason: str, notes: str | None = None) -> dict[str, Any]:
        """Open a case for a job, or get the one that is open."""
        return (await self._send(open_case_request(job_id, reason, notes))).json()

    async def case(self, case_id: str, **changes: Any) -> dict[str, Any]:
        """One case, after these changes; see Client.case."""
        return (await self._send(case_request(case_id, changes))).json()

    async def bulk(
        self, action: str, reason: str, ids: Sequence[str] | None = None, **options: Any
    ) -> dict[str, Any]:
        """One verb over many jobs, by ids or `filter`; what became of each."""
        return (await self._send(bulk_request(action, reason, ids, options))).json()

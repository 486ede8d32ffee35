"""What a client asks about reviews: one builder of requests, two faces that send them."""

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote

from backlane.asking import Ask

_FLAGS = ("take_over", "tell_requester")


def _path(review_id: str, verb: str = "") -> str:
    return f"/v1/reviews/{quote(review_id, safe='')}{verb}"


def reviews_request(filters: Mapping[str, Any]) -> Ask:
    """The filters of GET /v1/reviews; one that is None is left out."""
    given = {name: value for name, value in filters.items() if value is not None}
    query = {name: str(value).lower() if value is True else str(value) for name, value in given.items()}
    return Ask("GET", "/v1/reviews", query={name: value for name, value in query.items() if value != "False"})


def review_request(review_id: str) -> Ask:
    return Ask("GET", _path(review_id))


def claim_request(review_id: str, reason: str | None) -> Ask:
    body = {} if reason is None else {"take_over": True, "reason": reason}
    return Ask("POST", _path(review_id, "/claim"), body)


def release_claim_request(review_id: str) -> Ask:
    return Ask("POST", _path(review_id, "/release-claim"), {})


def decision_request(review_id: str, decision: str, payload_hash: str, fields: Mapping[str, Any]) -> Ask:
    """A decision on the version that this hash names; what is None, and a flag that is not set, is left out.

    `take_over` is why another's claim is overridden.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(given.get("take_over"), str):
        given |= {"take_over": True, "reason": given["take_over"]}
    given = {name: value for name, value in given.items() if value or name not in _FLAGS}
    body = {"decision": decision, "payload_hash": payload_hash, **given}
    return Ask("POST", _path(review_id, "/decisions"), body)


class _Answer(Protocol):
    def json(self) -> Any: ...


class Reviewing:
    """The blocking face. Each raises ServiceError for an answer that is not success.

    `payload_hash` is that of the review as it was read: it names exactly the bytes that are decided on.
    """

    def _send(self, ask: Ask) -> _Answer:
        raise NotImplementedError

    def reviews(self, **filters: Any) -> dict[str, Any]:
        """A page of reviews, oldest first: `state`, `kind`, `role`, `job`, `mine=True`, `limit`, `cursor`."""
        return self._send(reviews_request(filters)).json()

    def review(self, review_id: str) -> dict[str, Any]:
        """One review, with every decision on it."""
        return self._send(review_request(review_id)).json()

    def claim(self, review_id: str, *, take_over: str | None = None) -> dict[str, Any]:
        """Say that one is looking at it, for a quarter of an hour; `take_over` is why another's claim is overridden."""
        return self._send(claim_request(review_id, take_over)).json()

    def release_claim(self, review_id: str) -> dict[str, Any]:
        """Give one's own claim back."""
        return self._send(release_claim_request(review_id)).json()

    def approve(self, review_id: str, payload_hash: str, **fields: Any) -> dict[str, Any]:
        """Approve exactly this version: `edits` (the whole new value), `notes`, `take_over` (why), `tell_requester`."""
        return self._send(decision_request(review_id, "approve", payload_hash, fields)).json()

    def reject(self, review_id: str, payload_hash: str, **fields: Any) -> dict[str, Any]:
        """Reject it, which ends the job: `notes`, `reason_code`, `take_over` (why), `tell_requester`."""
        return self._send(decision_request(review_id, "reject", payload_hash, fields)).json()

    def request_changes(self, review_id: str, payload_hash: str, notes: str, **fields: Any) -> dict[str, Any]:
        """Send it back: the model is given the notes as a person's words, and what it makes is reviewed anew."""
        fields = {"notes": notes, **fields}
        return self._send(decision_request(review_id, "request_changes", payload_hash, fields)).json()


class AsyncReviewing:
    """The same for asyncio."""

    async def _send(self, ask: Ask) -> _Answer:
        raise NotImplementedError

    async def reviews(self, **filters: Any) -> dict[str, Any]:
        """A page of reviews, oldest first; see Client.reviews."""
        return (await self._send(reviews_request(filters))).json()

    async def review(self, review_id: str) -> dict[str, Any]:
        """One review, with every decision on it."""
        return (await self._send(review_request(review_id))).json()

    async def claim(self, review_id: str, *, take_over: str | None = None) -> dict[str, Any]:
        """Say that one is looking at it; see Client.claim."""
        return (await self._send(claim_request(review_id, take_over))).json()

    async def release_claim(self, review_id: str) -> dict[str, Any]:
        """Give one's own claim back."""
        return (await self._send(release_claim_request(review_id))).json()

    async def approve(self, review_id: str, payload_hash: str, **fields: Any) -> dict[str, Any]:
        """Approve exactly this version; see Client.approve."""
        return (await self._send(decision_request(review_id, "approve", payload_hash, fields))).json()

    async def reject(self, review_id: str, payload_hash: str, **fields: Any) -> dict[str, Any]:
        """Reject it, which ends the job; see Client.reject."""
        return (await self._send(decision_request(review_id, "reject", payload_hash, fields))).json()

    async def request_changes(
        self, review_id: str, payload_hash: str, notes: str, **fields: Any
    ) -> dict[str, Any]:
        """Send it back; see Client.request_changes."""
        ask = decision_request(review_id, "request_changes", payload_hash, {"notes": notes, **fields})
        return (await self._send(ask)).json()

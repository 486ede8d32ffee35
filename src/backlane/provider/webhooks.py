"""The provider's signed events: verified over the bytes as they came, before anything is parsed. Pure.

The signature is HMAC-SHA256 over `{id}.{timestamp}.{body}`. Nothing here believes what an event says.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from backlane.core.notice import TYPES, Notice
from backlane.provider.beyond import beyond
from backlane.provider.reading import is_run_id, storable

# What we ask to be told of, and read.
EVENT_TYPES = TYPES
# The fields of such an event, and of its `data`: openai 3.54, types/webhooks.
FIELDS: Mapping[str, Any] = {"created_at": {}, "data": {"id": {}}, "id": {}, "object": {}, "type": {}}
TOLERANCE = 300_000
_LONGEST_ID = 200
_LONGEST_TIMESTAMP = 20
_MOST_SIGNATURES = 50
# So much is kept of an event whose type, or a field of which, nobody here knows, characters.
_UNKNOWN_AT_MOST = 16_000


def signing_key(secret: str) -> bytes:
    """The bytes a secret signs with. Raises ValueError for a secret that signs nothing."""
    if not secret.startswith("whsec_"):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"))
        except binascii.Error:
            raise ValueError("what follows whsec_ is not base64") from None
    if not key:
        raise ValueError("it is empty")
    return key


def is_genuine(body: bytes, headers: Mapping[str, str], keys: Sequence[bytes], now: int) -> bool:
    """Whether one of the keys signed these bytes within five minutes of `now` (milliseconds since 1970).

    Header names are lower case. Several signatures may be given, any valid one counts.
    """
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    given = [part.removeprefix("v1,").encode() for part in headers.get("webhook-signature", "").split()]
    if not webhook_id or not given or len(given) > _MOST_SIGNATURES or not _is_fresh(timestamp, now):
        return False
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    genuine = False
    for key in keys:
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
        for one in given:
            # No early end: the time taken must not tell which secret or signature was near.
            genuine |= hmac.compare_digest(expected, one)
    return genuine


def _is_fresh(timestamp: str, now: int) -> bool:
    if not timestamp or len(timestamp) > _LONGEST_TIMESTAMP:
        return False
    try:
        age = now // 1000 - int(timestamp)
    except ValueError:
        return False
    return abs(age) * 1000 <= TOLERANCE


def read_event(body: bytes) -> tuple[str, str | None, bool] | None:
    """A verified event's type, the run it is about, whether it says more than is known; None if it is no event.

    Types nobody has heard of are kept as they are. Only `response.…` events are about runs.
    """
    try:
        whole: Any = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(whole, Mapping):
        return None
    event = cast(Mapping[str, Any], whole)
    kind = _word(event.get("type"))
    data: Any = event.get("data")
    named = cast(Mapping[str, Any], data).get("id") if isinstance(data, Mapping) else None
    says_more = kind not in EVENT_TYPES or beyond(event, FIELDS) is not None
    return kind, named if kind.startswith("response.") and is_run_id(named) else None, says_more


def _word(value: Any) -> str:
    kept = value[:100] if isinstance(value, str) else ""
    return kept.replace("\x00", "").encode("utf-8", "replace").decode()


def _kept_id(webhook_id: str) -> str:
    """An id as it is stored; one that no column holds stands under its digest."""
    if len(webhook_id) <= _LONGEST_ID and webhook_id.isascii() and webhook_id.isprintable():
        return webhook_id
    return "sha256:" + hashlib.sha256(webhook_id.encode("utf-8", "replace")).hexdigest()


class Door:
    """Implements the Signatures protocol over the accounts' secrets.

    Raises ValueError for a secret that signs nothing.
    """

    def __init__(self, secrets: Mapping[str, Sequence[str]]) -> None:
        self._keys = {
            account: [signing_key(secret) for secret in several]
            for account, several in secrets.items()
            if several
        }

    @property
    def is_open(self) -> bool:
        """Whether any account has a secret."""
        return bool(self._keys)

    def notices(self, body: bytes, headers: Mapping[str, str], now: int) -> list[Notice]:
        """What these bytes tell, for each account whose secret signed them; empty for a forgery."""
        lowered = {name.lower(): value for name, value in headers.items()}
        signers = [name for name, keys in self._keys.items() if is_genuine(body, lowered, keys, now)]
        event = read_event(body) if signers else None
        if event is None:
            return []
        webhook_id = _kept_id(lowered["webhook-id"])
        kind, named, says_more = event
        kept = storable(body.decode()[:_UNKNOWN_AT_MOST]) if says_more else None
        return [Notice(account, webhook_id, kind, named, body=kept) for account in signers]

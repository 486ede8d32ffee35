"""Signing events as the provider does, apart from the product's own code; requests for the door."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
OTHER = "whsec_" + base64.b64encode(b"the other secret, of other bytes").decode()


def event(response_id: str, kind: str = "response.completed", **more: Any) -> bytes:
    """An event's body."""
    whole = {
        "id": "evt_1",
        "object": "event",
        "created_at": 1,
        "type": kind,
        "data": {"id": response_id},
        **more,
    }
    return json.dumps(whole).encode()


def signature(body: bytes, webhook_id: str, timestamp: int | str, secret: str = SECRET) -> str:
    """The base64 signature alone."""
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def signed(
    body: bytes, webhook_id: str = "wh_1", *, secret: str = SECRET, timestamp: int | str | None = None
) -> dict[str, str]:
    """The headers of a delivery."""
    at = int(time.time()) if timestamp is None else timestamp
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature(body, webhook_id, at, secret)}",
    }

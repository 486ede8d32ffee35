"""One webhook delivery: what it says, how it is signed, what a fault makes of it. It knows no socket and no clock."""

import codecs
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backlane.simulator.faults import Fault
from backlane.simulator.signatures import signature
from backlane.simulator.values import as_object

AGENT = "OpenAI/1.0 (+https://platform.openai.com/docs/webhooks)"
_OTHER_SECRET = "whsec_bm90IHRoZSBzZWNyZXQgdGhhdCB3YXMgYWdyZWVkIG9u"  # noqa: S105

_SIGNED_AS_SENT = frozenset({"packed_webhook", "oversized_webhook"})


@dataclass(slots=True)
class Endpoint:
    """Where webhooks go. Times are seconds since 1970."""

    id: str
    name: str
    url: str
    secret: str
    created_at: float
    updated_at: float
    # The types it asked for; None means all.
    event_types: tuple[str, ...] | None = None
    # The secret before this one, and until when it signs beside it.
    former_secret: str | None = None
    former_until: float = 0.0

    def wants(self, kind: str, at: float) -> bool:
        """Whether an event of this type and time is for it."""
        return self.created_at <= at and (self.event_types is None or kind in self.event_types)

    def secrets(self, now: float) -> list[str]:
        """The secrets that sign at this time."""
        if self.former_secret is None or now >= self.former_until:
            return [self.secret]
        return [self.secret, self.former_secret]


@dataclass(slots=True)
class Delivery:
    """One message to one endpoint, and the truth log's line about it."""

    endpoint: Endpoint
    webhook_id: str
    event: dict[str, Any]
    line: dict[str, Any]
    fault: Fault | None = None
    # For so many seconds from its first attempt on nobody answers at the endpoint.
    down_for: float = 0.0
    # When it was first tried; the provider gives up by this.
    first_at: float | None = None
    statuses: list[int | None] = field(default_factory=list[int | None])

    def is_down(self, now: float) -> bool:
        """Whether its endpoint is down at this time."""
        return self.down_for > 0 and now < (self.first_at or now) + self.down_for


def compose(delivery: Delivery, now: float) -> tuple[dict[str, str], bytes]:
    """Headers and body of the next attempt: the same id and body each time, stamped and signed at `now`."""
    fault = _fault_now(delivery)
    name, values = (fault.name, as_object(fault.values)) if fault else ("", as_object(None))
    body = json.dumps(delivery.event).encode()
    sent = _spoiled(name, body, values)
    signed = sent if name in _SIGNED_AS_SENT or values.get("signed") else body
    age = int(values.get("seconds", 600)) if name == "stale_webhook" else 0
    timestamp, secrets = str(int(now) - age), delivery.endpoint.secrets(now)
    if name == "forge_webhook":
        secrets = [_OTHER_SECRET]
    elif name == "two_signatures":
        secrets = [_OTHER_SECRET, *secrets]
    version = "" if name == "bare_signature" else "v1,"
    signatures = [version + signature(one, delivery.webhook_id, timestamp, signed) for one in secrets]
    headers = {
        "content-type": "application/json",
        "user-agent": AGENT,
        "webhook-id": delivery.webhook_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
    if name == "packed_webhook":
        headers["content-encoding"] = "gzip"
    if name == "endless_webhook":
        headers["transfer-encoding"] = "chunked"
    if name == "missing_header":
        headers.pop(str(values.get("header", "webhook-signature")), None)
    return headers, sent


def _spoiled(name: str, body: bytes, values: Mapping[str, Any]) -> bytes:
    """The bytes that are sent in place of the body."""
    if name == "truncate_webhook":
        return body[: len(body) // 2]
    if name == "reserialize_webhook":
        return json.dumps(json.loads(body), separators=(",", ":"), sort_keys=True).encode()
    if name == "bom_webhook":
        return codecs.BOM_UTF8 + body
    if name == "packed_webhook":
        return gzip.compress(body, mtime=0)
    if name == "oversized_webhook":
        return body + b" " * (int(values.get("kilobytes", 1024)) * 1024)
    return body


def _fault_now(delivery: Delivery) -> Fault | None:
    """The fault, while it still meets this attempt."""
    if delivery.fault is None:
        return None
    most = delivery.fault.values.get("attempts")
    return delivery.fault if most is None or len(delivery.statuses) < int(most) else None

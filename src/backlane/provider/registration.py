"""Making a webhook endpoint at the provider with an account's own key. Its secret is told this once only."""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlsplit

from backlane.core.outcome import NotSent, Refused, Unknown
from backlane.errors import InvalidRequest
from backlane.provider.calling import Calls
from backlane.provider.replies import Reply, create_refusal, parse
from backlane.provider.webhooks import EVENT_TYPES

PATH = "/v1/providers/openai/webhooks"


@dataclass(frozen=True, slots=True)
class Registered:
    """An endpoint that was made, and the secret its events are signed with."""

    endpoint_id: str
    url: str
    secret: str = field(repr=False)


def public_url(raw: str, given_by: str = "--register-webhook") -> str:
    """Where the provider is to send events; the door's path is added where none is given.

    Raises InvalidRequest for an address that would carry events in the open, or none at all.
    """
    try:
        parts = urlsplit(raw.strip())
        host, usable = parts.hostname or "", (parts.port or 1) > 0
    except ValueError:
        host, usable, parts = "", False, urlsplit("")
    if not host or not usable or parts.username is not None or parts.fragment:
        raise InvalidRequest([(given_by, "must look like https://host/")])
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise InvalidRequest([(given_by, "must be https; http only on this machine")])
    return parts._replace(path=PATH if parts.path in ("", "/") else parts.path).geturl()


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def register(
    calls: Calls, account: str, url: str, now: int
) -> Registered | Refused | Unknown | NotSent:
    """Ask the provider, once, for an endpoint that tells of every end."""
    body = {"name": "backlane", "url": url, "event_types": list(EVENT_TYPES)}
    reply = await calls.call(account, "POST", "/webhook_endpoints", json.dumps(body).encode())
    if not isinstance(reply, Reply):
        return reply
    if not reply.ok:
        return create_refusal(reply, now)
    whole: Any = parse(reply.body)
    made: Mapping[str, Any] = cast(Mapping[str, Any], whole) if isinstance(whole, Mapping) else {}
    endpoint_id, secret = made.get("id"), made.get("signing_secret")
    if not isinstance(endpoint_id, str) or not isinstance(secret, str) or not secret.isprintable():
        return Unknown("garbled_reply", "the provider's reply names no endpoint")
    return Registered(endpoint_id, url, secret)

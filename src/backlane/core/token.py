"""Short-lived tokens of end users: what one stands for, signed, so that nothing has to be stored of it. Pure."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass

from backlane.core.schedule import HOUR

MARK = "blt_"
LASTS_AT_MOST = HOUR
JOBS_AT_MOST = 50
# Nobody's name may hold this: it tells a service's end user from everybody who has a key.
THROUGH = " through "


@dataclass(frozen=True, slots=True)
class Grant:
    """Whose jobs a token opens: those its service submitted for `user`, or of these the listed ones."""

    key_id: str
    service: str
    user: str
    jobs: frozenset[str] | None
    expires_at: int

    @property
    def name(self) -> str:
        """Who acts, as events and the audit log say it."""
        return f"{self.user}{THROUGH}{self.service}"


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.new(secret, b"backlane token\0" + body, hashlib.sha256).digest()


def write_token(secret: bytes, grant: Grant) -> str:
    """The token: `blt_`, what it grants, a dot, its signature."""
    jobs = None if grant.jobs is None else sorted(grant.jobs)
    body = json.dumps([grant.key_id, grant.service, grant.user, jobs, grant.expires_at]).encode()
    parts = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (body, _mac(secret, body)))
    return MARK + ".".join(parts)


def read_token(secret: bytes, token: str) -> Grant | None:
    """What a token grants, if this secret signed it; whether it has expired is for the caller to say."""
    body, _, mark = token.removeprefix(MARK).partition(".")
    try:
        raw, signed = (base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in (body, mark))
    except ValueError:
        return None
    if not secret or not hmac.compare_digest(signed, _mac(secret, raw)):
        return None
    key_id, service, user, jobs, expires_at = json.loads(raw)
    return Grant(key_id, service, user, None if jobs is None else frozenset(jobs), expires_at)

"""The bytes of an action that are shown, hashed, approved and dispatched: one form, made in one place."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from backlane.core.action import Action
from backlane.service.describe import moment


@dataclass(frozen=True, slots=True)
class Sealed:
    """A payload in canonical form (RFC 8785) and its hash."""

    payload: str
    hash: str


def seal_action(action: Action) -> Sealed:
    """What an approval of this action is bound to; text for display is no part of it."""
    return seal(
        {
            "type": action.type,
            "origin": str(action.origin),
            "target": action.target,
            "arguments": json.loads(action.arguments),
            "content": action.content,
            "workspace": action.workspace,
            "job": action.job_id,
            "attempt": action.attempt_id,
            "key": action.key,
            "policy_version": action.policy_version,
            "expires_at": moment(action.expires_at),
        }
    )


def seal(payload: Mapping[str, Any]) -> Sealed:
    """Any payload in canonical form."""
    body = rfc8785.dumps(dict(payload))
    return Sealed(body.decode(), f"sha256:{hashlib.sha256(body).hexdigest()}")

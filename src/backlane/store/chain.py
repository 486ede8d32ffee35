"""The hash chains over events and audit lines: canonical JSON, digests, and how links are made. Pure."""

import hashlib
from typing import Any

import rfc8785

GENESIS = "0" * 64


def canonical(value: Any) -> str:
    """RFC 8785 canonical JSON, as text. Equal values give equal bytes."""
    return rfc8785.dumps(value).decode()


def sha256(text: str | bytes) -> str:
    """The hex sha256 of text (as UTF-8) or bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def link(former: str, *parts: object) -> str:
    """The next head of a chain. The parts are joined as canonical JSON, so no two lists look alike."""
    return sha256(canonical([former, *[None if part is None else str(part) for part in parts]]))

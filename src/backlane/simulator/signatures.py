"""How the provider signs what it sends. The key never leaves this room except as a signature."""

import base64
import binascii
import hashlib
import hmac


def signature(secret: str, webhook_id: str, timestamp: str, body: bytes) -> str:
    """The bare signature of one delivery: HMAC-SHA256 over id, timestamp and the raw body, in base64."""
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(_key(secret), signed, hashlib.sha256).digest()).decode()


def _key(secret: str) -> bytes:
    """What stands after `whsec_`, decoded; any other secret counts as it is."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error as error:
        raise ValueError("a secret that begins with whsec_ goes on in base64") from error

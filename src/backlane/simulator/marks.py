"""Ids that follow from a text: the same requests give the same ids."""

import hashlib


def mark_of(kind: str, told: str) -> str:
    """An id of this kind."""
    return f"{kind}_{hashlib.sha256(told.encode()).hexdigest()[:32]}"

"""What an API key looks like, and what is stored of one. Pure: its randomness comes in by argument."""

import hashlib
import string
import zlib

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def _base62(number: int, length: int) -> str:
    digits = ""
    for _ in range(length):
        number, rest = divmod(number, 62)
        digits = _ALPHABET[rest] + digits
    return digits


def new_key(randomness: bytes) -> str:
    """A key: `blk_`, 30 random base62 characters and a checksum, so that leaked ones can be found."""
    body = _base62(int.from_bytes(randomness, "big"), 30)
    return f"blk_{body}{_base62(zlib.crc32(body.encode()), 6)}"


def looks_like_key(key: str) -> bool:
    """Whether a string has a key's form and checksum."""
    body, check = key[4:34], key[34:]
    return (
        key.startswith("blk_")
        and len(key) == 40
        and key.isascii()
        and _base62(zlib.crc32(body.encode()), 6) == check
    )


def key_hash(key: str) -> str:
    """What is stored of a key. 178 random bits need no slow hash."""
    return hashlib.sha256(key.encode()).hexdigest()

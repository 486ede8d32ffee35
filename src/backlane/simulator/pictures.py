"""What a picture says of itself: its kind, its size in pixels, the texts written into it. It looks at no pixels."""

import struct
import zlib
from collections.abc import Iterator

_MOST_TEXT = 1_000_000


def read_picture(data: bytes) -> tuple[str, str] | None:
    """Media type and text of a PNG, JPEG, GIF or WebP; None for anything else, broken ones included."""
    for begins, kind, read in (
        (b"\x89PNG\r\n\x1a\n", "png", _png),
        (b"\xff\xd8\xff", "jpeg", _jpeg),
        (b"GIF8", "gif", _gif),
        (b"RIFF", "webp", _webp),
    ):
        if data.startswith(begins):
            try:
                width, height, texts = read(data)
            except (struct.error, IndexError, ValueError, zlib.error):
                return None
            told = f"An image of {width} by {height} pixels."
            return f"image/{kind}", "\n".join([told, *(text for text in texts if text.strip())])
    return None


def _png(data: bytes) -> tuple[int, int, list[str]]:
    width, height = struct.unpack(">II", data[16:24])
    texts: list[str] = []
    for kind, chunk in _png_chunks(data):
        keyword, _, rest = chunk.partition(b"\0")
        if kind == b"tEXt" and keyword:
            texts.append(rest.decode("latin-1"))
        elif kind == b"zTXt":
            texts.append(_inflated(rest[1:]).decode("latin-1"))
        elif kind == b"iTXt":
            packed, rest = rest[0] == 1, rest[2:]
            words = rest.split(b"\0", 2)[2]
            texts.append((_inflated(words) if packed else words).decode("utf-8", "replace"))
    return width, height, texts


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        at += size + 12


def _inflated(data: bytes) -> bytes:
    """Unpacked, up to a limit: a small file may not become a huge text."""
    return zlib.decompressobj().decompress(data, _MOST_TEXT)


def _jpeg(data: bytes) -> tuple[int, int, list[str]]:
    at, size, texts = 2, None, list[str]()
    while at + 4 <= len(data) and data[at] == 0xFF:
        mark, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        if mark == 0xFE:
            texts.append(data[at + 4 : at + 2 + length].decode("utf-8", "replace"))
        if 0xC0 <= mark <= 0xCF and mark not in (0xC4, 0xC8, 0xCC):
            size = struct.unpack(">HH", data[at + 5 : at + 9])
        if mark == 0xDA:
            break
        at += 2 + length
    if size is None:
        raise ValueError("no frame")
    return size[1], size[0], texts


def _gif(data: bytes) -> tuple[int, int, list[str]]:
    width, height = struct.unpack("<HH", data[6:10])
    texts: list[str] = []
    at = data.find(b"\x21\xfe")
    if at >= 0:
        at, words = at + 2, b""
        while data[at]:
            words += data[at + 1 : at + 1 + data[at]]
            at += data[at] + 1
        texts.append(words.decode("utf-8", "replace"))
    return width, height, texts


def _webp(data: bytes) -> tuple[int, int, list[str]]:
    kind = data[8:16]
    if kind == b"WEBPVP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        return width, int.from_bytes(data[27:30], "little") + 1, []
    if kind == b"WEBPVP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1, []
    if kind == b"WEBPVP8 ":
        width, height = struct.unpack("<HH", data[26:30])
        return width & 0x3FFF, height & 0x3FFF, []
    raise ValueError("no picture")

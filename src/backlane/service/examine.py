"""Looking into an uploaded file before it is kept: is it what it claims to be, whole, open, and of a kind we take?

Nothing of it is believed and nothing is unpacked into memory. Runs in a thread: it may read 50 MB.
"""

import codecs
import json
import logging
import struct
import zipfile
import zlib
from typing import Any, BinaryIO, cast

from backlane.core.media import (
    ALLOWED,
    IMAGES,
    OFFICE_PARTS,
    PDF,
    claimed,
    is_old_office,
    is_text,
    is_zip,
    sniffed,
    text_kind,
)
from backlane.errors import InvalidRequest, UnsupportedMedia

_HEAD = 4096
_CHUNK = 262_144
# JSON up to this size is parsed; of more only the beginning is judged, for parsing takes many times its size.
_PARSED_AT_MOST = 2_000_000
_PIXELS_AT_MOST = 100_000_000
_PARTS_AT_MOST = 5_000
_UNPACKED_AT_MOST = 250_000_000
_TAKEN = "PDF, PNG, JPEG, GIF, WebP, plain text, Markdown, CSV, JSON, HTML, XML, docx, xlsx, pptx"


def examine(file: BinaryIO, content_type: str | None, name: str) -> str:
    """The media type of a file, from its bytes.

    Raises UnsupportedMedia for a kind that is not taken or not the one that was claimed, InvalidRequest for one that
    is empty, broken, encrypted, or unpacks to too much.
    """
    head = file.read(_HEAD)
    if not head:
        raise _wrong("is empty")
    claim = claimed(content_type, name)
    kind = sniffed(head, claim)
    if kind is None:
        kind = _text(file, head, claim)
    elif is_zip(kind):
        kind = _office(file)
    elif is_old_office(kind):
        raise UnsupportedMedia(
            "The file is an old or an encrypted Office document; save it as docx, xlsx or pptx, without a password."
        )
    if claim is not None and claim != kind and not (claim.startswith("text/") and kind == "text/plain"):
        raise UnsupportedMedia(f"The file is claimed to be {claim[:100]!r}, but its bytes are {kind}.")
    if kind == PDF:
        _pdf(file)
    if kind in IMAGES:
        _image(head, kind)
    return kind


def _wrong(words: str) -> InvalidRequest:
    return InvalidRequest([("/file", words)])


def _unsupported(what: str) -> UnsupportedMedia:
    return UnsupportedMedia(f"{what}; taken are {_TAKEN}.")


def _text(file: BinaryIO, head: bytes, claim: str | None) -> str:
    """The kind of a text. What no text claims to be, and is none, is of an unknown kind."""
    if claim is not None and claim not in ALLOWED and not is_text(claim):
        raise _unsupported(f"Files of type {claim[:100]!r} are not taken")
    file.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")()
    size = 0
    try:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if b"\x00" in chunk:
                raise _wrong("holds NUL characters: it is no text") if is_text(claim) else _unknown(claim)
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise (_wrong("is not UTF-8 text") if is_text(claim) else _unknown(claim)) from None
    begin = head.decode("utf-8", "ignore")
    kind = text_kind(claim, begin)
    if kind == "application/json" and not _is_json(file, begin, size):
        raise UnsupportedMedia("The file is claimed to be JSON, but cannot be read as JSON.")
    if kind in ("text/html", "application/xml") and "<" not in begin:
        raise UnsupportedMedia(f"The file is claimed to be {kind}, but has no tags.")
    return kind


def _unknown(claim: str | None) -> UnsupportedMedia:
    if claim is not None:
        return UnsupportedMedia(
            f"The file is claimed to be {claim[:100]!r}, but its bytes are of another kind."
        )
    return _unsupported("The file is of an unknown kind")


def _is_json(file: BinaryIO, begin: str, size: int) -> bool:
    if size > _PARSED_AT_MOST:
        return begin.lstrip("\ufeff \t\r\n")[:1] in tuple('{["')
    file.seek(0)
    try:
        json.loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return False
    return True


def _office(file: BinaryIO) -> str:
    """The kind of an office document, whose parts were all unpacked once, a piece at a time, and thrown away."""
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            kind = _office_kind(parts)
            left = _UNPACKED_AT_MOST
            for part in parts:
                left = _unpacked(archive, part, left)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError, ValueError) as error:
        raise _wrong("is a broken archive") from error
    return kind


def _office_kind(parts: list[zipfile.ZipInfo]) -> str:
    names = {part.filename for part in parts}
    kind = next((kind for name, kind in OFFICE_PARTS.items() if name in names), None)
    if kind is None or "[Content_Types].xml" not in names:
        raise _unsupported("Archives are not taken")
    if any(part.flag_bits & 0x1 for part in parts):
        raise _wrong("is encrypted; send it without a password")
    if len(parts) > _PARTS_AT_MOST or sum(part.file_size for part in parts) > _UNPACKED_AT_MOST:
        raise _too_much()
    return kind


def _too_much() -> InvalidRequest:
    return _wrong(f"unpacks to more than {_UNPACKED_AT_MOST // 1_000_000} MB or {_PARTS_AT_MOST:,} parts")


def _unpacked(archive: zipfile.ZipFile, part: zipfile.ZipInfo, left: int) -> int:
    """How many bytes may still come after this part; the sizes an archive tells may be lies."""
    with archive.open(part) as content:
        while chunk := content.read(_CHUNK):
            left -= len(chunk)
            if left < 0:
                raise _too_much()
    return left


def _pdf(file: BinaryIO) -> None:
    from pypdf import PdfReader

    file.seek(0, 2)
    file.seek(max(0, file.tell() - 2048))
    if b"%%EOF" not in file.read():
        raise _wrong("is a broken PDF: its end is missing")
    # It tells on standard error of every oddity that it could mend.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    file.seek(0)
    try:
        reader = PdfReader(file)
        encrypted = reader.is_encrypted
        pages = 0 if encrypted else _pages(reader)
    except MemoryError:
        raise
    except Exception as error:
        raise _wrong("is a broken PDF") from error
    if encrypted:
        raise _wrong("is an encrypted PDF; send it without a password")
    if not pages:
        raise _wrong("is a PDF without pages")


def _pages(reader: Any) -> int:
    """How many page objects the root of the page tree names, which is enough to know that there are some."""
    tree = reader.trailer["/Root"]["/Pages"]
    kids = cast(list[Any], tree["/Kids"])
    return sum(1 for kid in kids[:10] if kid.get_object() is not None)


def _image(head: bytes, kind: str) -> None:
    """The size in an image's header: one of many pixels fills whoever shows it."""
    try:
        width, height = _dimensions(head, kind)
    except struct.error:
        raise _wrong("is a broken image") from None
    if width * height > _PIXELS_AT_MOST:
        raise _wrong(f"has more than {_PIXELS_AT_MOST // 1_000_000} million pixels")
    if not width or not height:
        raise _wrong("is a broken image: it has no size")


def _dimensions(head: bytes, kind: str) -> tuple[int, int]:
    """Width and height where the header tells them at a fixed place; 1 × 1 where it does not."""
    if kind == "image/png":
        if head[12:16] != b"IHDR":
            return 0, 0
        return struct.unpack(">II", head[16:24])
    if kind == "image/gif":
        return struct.unpack("<HH", head[6:10])
    return 1, 1

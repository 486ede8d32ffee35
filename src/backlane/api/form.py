"""Reading a form with exactly one file as it comes (RFC 7578): the file's bytes are handed on, never gathered."""

import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from backlane.errors import Malformed

_EXTENDED = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^;\s]+)", re.IGNORECASE)
_PLAIN = re.compile(r'filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;\s]+))', re.IGNORECASE)


def file_name(disposition: str) -> str | None:
    """The file name of a Content-Disposition header (RFC 6266), as it was sent: a label at most."""
    extended = _EXTENDED.search(disposition)
    if extended is not None:
        return unquote_to_bytes(extended[1]).decode("utf-8", "replace")
    plain = _PLAIN.search(disposition)
    if plain is None:
        return None
    given = re.sub(r"\\(.)", r"\1", plain[1]) if plain[1] is not None else plain[2]
    # Header bytes come as latin-1; senders mean UTF-8.
    try:
        return given.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return given


class OneFile:
    """The one file part of a form, from the body's chunks. Raises Malformed for any other form."""

    def __init__(self, chunks: AsyncIterator[bytes], content_type: str) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        if not boundary:
            raise Malformed("The form names no boundary.")
        self._chunks = chunks
        self._pieces: list[bytes] = []
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[str, str] = {}
        self._parts = 0
        self._begun = self._whole = self._ended = False
        self.name: str | None = None
        self.content_type: str | None = None
        callbacks: Any = {
            "on_part_begin": self._part,
            "on_header_field": self._field_bytes,
            "on_header_value": self._value_bytes,
            "on_header_end": self._header,
            "on_headers_finished": self._headers_done,
            "on_part_data": self._file_bytes,
            "on_part_end": self._part_done,
            "on_end": self._done,
        }
        try:
            self._parser = MultipartParser(boundary, callbacks)
        except FormParserError:
            raise Malformed("The form's boundary cannot be read.") from None

    async def begin(self) -> None:
        """Read as far as the part's headers: its name and type are known then."""
        while not self._begun:
            if not await self._read_on():
                raise Malformed("The form has no file; send one part with a file name.")

    async def content(self) -> AsyncIterator[bytes]:
        """The file's bytes as they come."""
        while True:
            pieces, self._pieces = self._pieces, []
            for piece in pieces:
                yield piece
            if not await self._read_on():
                break
        if not self._ended:
            raise Malformed("The form ended before it was whole.")

    async def _read_on(self) -> bool:
        """Parse one more chunk; False at the end of the body."""
        chunk = await anext(self._chunks, None)
        if chunk is None:
            return False
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise Malformed("The form cannot be read.") from None
        return True

    def _part(self) -> None:
        self._parts += 1
        if self._parts > 1:
            raise Malformed("The form has more than one part; send one file at a time.")

    def _field_bytes(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _value_bytes(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _file_bytes(self, data: bytes, start: int, end: int) -> None:
        self._pieces.append(data[start:end])

    def _header(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = self._value.decode("latin-1")
        self._field.clear()
        self._value.clear()

    def _headers_done(self) -> None:
        self.name = file_name(self._headers.get("content-disposition", ""))
        self.content_type = self._headers.get("content-type")
        if self.name is None:
            raise Malformed("The form's part has no file name; send it as a file.")
        self._begun = True

    def _part_done(self) -> None:
        self._whole = True

    def _done(self) -> None:
        self._ended = self._whole

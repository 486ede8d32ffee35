"""Server-sent events off the wire: bytes in, the data of whole frames out. Nothing over its cap is kept."""


class Frames:
    """Cuts a stream of bytes into the data of its frames; a frame that was not ended is none.

    `at_most` is how much of one frame is kept, bytes; `is_over` says that one was larger, and nothing more
    can be read. Comments and every field but `data` are dropped.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._rest = bytearray()
        self._seen = 0  # how much of the rest holds no line's end
        self._data: list[bytes] = []
        self._size = 0
        self._after_return = False
        self.is_over = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The frames that this chunk ends."""
        found: list[bytes] = []
        self._rest += chunk
        while not self.is_over and (line := self._line()) is not None:
            if line:
                self._take(line)
            elif self._data:
                found.append(b"\n".join(self._data))
                self._data, self._size = [], 0
        self.is_over = self.is_over or len(self._rest) + self._size > self._at_most
        return found

    def _line(self) -> bytes | None:
        """The next whole line; its end is CR, LF, or both."""
        if self._after_return and self._rest.startswith(b"\n"):
            del self._rest[:1]
        if self._rest:
            self._after_return = False
        feed, back = self._rest.find(b"\n", self._seen), self._rest.find(b"\r", self._seen)
        ends = [place for place in (feed, back) if place >= 0]
        if not ends:
            self._seen = len(self._rest)
            return None
        end = min(ends)
        line = bytes(self._rest[:end])
        self._after_return = end == back
        del self._rest[: end + 1]
        self._seen = 0
        return line

    def _take(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if name.removeprefix(b"\xef\xbb\xbf") == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value) + 1
            self.is_over = self._size > self._at_most

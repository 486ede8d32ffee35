"""Where bytes lie, as Protocols: stored under their content's hash, whole or not at all."""

from typing import BinaryIO, Protocol


class Draft(Protocol):
    """Bytes on their way in, on disk and not stored: kept whole or dropped."""

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...

    async def write(self, chunk: bytes) -> None:
        """Add bytes. Raises StoreFull."""
        ...

    def reading(self) -> BinaryIO:
        """What was written so far, from its beginning; the caller closes it."""
        ...

    async def keep(self) -> str:
        """Store it durably under its hex sha256; one content is stored once. Raises StoreFull."""
        ...

    async def drop(self) -> None:
        """Leave nothing of it; harmless after `keep`."""
        ...


class ArtifactStore(Protocol):
    """Bytes under their content address. A name is never part of a path."""

    async def put(self, content: bytes) -> str:
        """Store the bytes durably; the hex sha256 under which they can be read."""
        ...

    async def get(self, sha256: str) -> bytes:
        """The bytes. Raises StoreError if they are missing or do not hash to their name."""
        ...

    async def draft(self) -> Draft:
        """Begin to take in bytes of unknown length. Raises StoreFull."""
        ...

    async def open(self, sha256: str) -> BinaryIO:
        """The bytes to read piece by piece; the caller closes it. Raises StoreError as `get` does."""
        ...
